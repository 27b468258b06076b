package strictjson_test

import (
	"testing"

	"github.com/gatehouse-auth/gatehouse/internal/strictjson"
)

func BenchmarkParseObject(b *testing.B) {
	text := []byte(`{"login":"jeanjackson@example.com","password":"Lantern-Orchard-27-Violet","lifetime":"4h"}`)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := strictjson.ParseObject(text); err != nil {
			b.Fatal(err)
		}
	}
}
