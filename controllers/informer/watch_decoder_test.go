package informer

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/go-json-experiment/json/jsontext"
	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/apimachinery/pkg/runtime/serializer/streaming"
	"k8s.io/apimachinery/pkg/watch"
	restwatch "k8s.io/client-go/rest/watch"

	authv1alpha1 "github.com/gatehouse-auth/gatehouse/api/v1alpha1"
	"github.com/gatehouse-auth/gatehouse/controllers/stored"
	"github.com/gatehouse-auth/gatehouse/test/apitest"
)

// storedUser is a User as an API server sends it.
const storedUser = `{"apiVersion":"auth.gatehouse.dev/v1alpha1","kind":"User","metadata":{"annotations":{"kubectl.kubernetes.io/last-applied-configuration":"{\"apiVersion\":\"auth.gatehouse.dev/v1alpha1\",\"kind\":\"User\"}\n"},` +
	`"creationTimestamp":"2026-11-25T06:05:04Z","generation":3,"managedFields":[{"apiVersion":"auth.gatehouse.dev/v1alpha1","fieldsType":"FieldsV1",` +
	`"fieldsV1":{"f:metadata":{"f:annotations":{".":{},"f:kubectl.kubernetes.io/last-applied-configuration":{}}},"f:spec":{".":{},"f:groups":{},"f:login":{},"f:passwords":{}}},` +
	`"manager":"kubectl-client-side-apply","operation":"Update","time":"2026-11-25T06:05:04Z"},{"apiVersion":"auth.gatehouse.dev/v1alpha1","fieldsType":"FieldsV1",` +
	`"fieldsV1":{"f:status":{".":{},"f:conditions":{".":{},"k:{\"type\":\"Ready\"}":{".":{},"f:message":{},"f:reason":{},"f:status":{},"f:type":{}}},"f:state":{}}},"manager":"gatehouse","operation":"Update","subresource":"status","time":"2026-11-25T06:05:05Z"}],` +
	`"name":"jean","namespace":"gatehouse-users","resourceVersion":"4711","uid":"0c1c8b54-6f2c-4d0f-9d3b-0f6f0d9b6a11"},` +
	`"spec":{"email":"jean@example.com","expiresAt":"2027-01-01T00:00:00Z","groups":["deployers","readers"],"login":"jean@example.com","passwords":[{"hashFrom":{"key":"hash","name":"jean-password"}}],` +
	`"revoked":false,"tokenPolicy":{"defaultLifetime":"5m0s","maximumLifetime":"24h0m0s"}},` +
	`"status":{"conditions":[{"lastTransitionTime":"2026-11-25T06:05:05Z","message":"logs in as \"jean@example.com\"","observedGeneration":3,"reason":"Active","status":"True","type":"Ready"}],"observedGeneration":3,"state":"Active"}}`

func userStream(objects ...string) string {
	var out strings.Builder
	for _, o := range objects {
		fmt.Fprintf(&out, `{"type":"ADDED","object":%s}`+"\n", o)
	}
	return out.String()
}

func newTestDecoder(stream io.Reader) *watchDecoder {
	return newWatchDecoder(io.NopCloser(stream), decodeUser)
}

// newClientGoDecoder returns the decoder that client-go would use for the same stream.
func newClientGoDecoder(t testing.TB, stream io.Reader) watch.Decoder {
	codecs := serializer.NewCodecFactory(apitest.Scheme(t))
	info, ok := runtime.SerializerInfoForMediaType(codecs.SupportedMediaTypes(), runtime.ContentTypeJSON)
	if !ok {
		t.Fatal("client-go cannot decode JSON")
	}
	frames := info.StreamSerializer.NewFrameReader(io.NopCloser(stream))
	return restwatch.NewDecoder(streaming.NewDecoder(frames, info.StreamSerializer.Serializer), codecs.UniversalDeserializer())
}

func TestDecodeMatchesClientGo(t *testing.T) {
	t.Parallel()
	bookmark := `{"type":"BOOKMARK","object":{"kind":"User","apiVersion":"auth.gatehouse.dev/v1alpha1","metadata":{"resourceVersion":"9","annotations":{"k8s.io/initial-events-end":"true"}},"spec":{}}}`
	gone := `{"type":"ERROR","object":{"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure","message":"too old resource version","reason":"Expired","code":410}}`
	stream := userStream(storedUser, strings.Replace(storedUser, "jean", `\u00e9\ud83d\ude00`, 1)) +
		`{"type":"MODIFIED","object":` + storedUser + `} {"type":"DELETED","object":` + storedUser + "}\n" + bookmark + "\n" + gone
	ours, theirs := newTestDecoder(strings.NewReader(stream)), newClientGoDecoder(t, strings.NewReader(stream))
	for n := 0; ; n++ {
		gotType, got, err := ours.Decode()
		wantType, want, wantErr := theirs.Decode()
		if errors.Is(err, io.EOF) && errors.Is(wantErr, io.EOF) {
			if n != 6 {
				t.Errorf("%d events, want 6", n)
			}
			return
		}
		if err != nil || wantErr != nil {
			t.Fatalf("event %d: %v; client-go: %v", n, err, wantErr)
		}
		if user, ok := want.(*authv1alpha1.User); ok {
			user.ManagedFields = nil // watchDecoder leaves them out
		}
		if gotType != wantType || !equality.Semantic.DeepEqual(got, want) {
			t.Errorf("event %d:\n%s %+v\nclient-go:\n%s %+v", n, gotType, got, wantType, want)
		}
	}
}

func TestDecodeBrokenStream(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ stream, want string }{
		"cut off in an event":   {userStream(storedUser)[:900], io.ErrUnexpectedEOF.Error()},
		"not JSON":              {"<html>", "invalid character"},
		"of unknown type":       {`{"type":"RENAMED","object":{}}`, `unknown type "RENAMED"`},
		"without an object":     {`{"type":"ADDED"}`, "read a User"},
		"with another object":   {`{"type":"ADDED","object":[]}`, "read a User"},
		"with a value too long": {`{"type":"ADDED","object":{"spec":{"email":"` + strings.Repeat("x", maximumEventSize), "longer than 16777216 bytes"},
	} {
		if _, _, err := newTestDecoder(strings.NewReader(c.stream)).Decode(); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
}

func TestDecodeLostConnection(t *testing.T) {
	t.Parallel()
	lost := iotest.ErrReader(errors.New("http2: client connection lost"))
	events := newTestDecoder(io.MultiReader(strings.NewReader(userStream(storedUser)), lost))
	if _, _, err := events.Decode(); err != nil {
		t.Fatal(err)
	}
	if _, _, err := events.Decode(); err != io.ErrUnexpectedEOF { // as client-go compares
		t.Errorf("%v, want %v", err, io.ErrUnexpectedEOF)
	}
}

// brokenUser and brokenToken are objects whose schema used to be looser.
const (
	brokenUser  = `{"metadata":{"name":"broken","resourceVersion":"7"},"spec":{"login":"grace","groups":"operators"}}`
	brokenToken = `{"metadata":{"name":"broken","resourceVersion":"7"},"spec":{"tokenID":"kept","expiresAt":"never"}}`
)

func TestBrokenObjectDoesNotEndAWatch(t *testing.T) {
	t.Parallel()
	for broken, decode := range map[string]decodeFunc{brokenUser: decodeUser, brokenToken: decodeToken} {
		events := newWatchDecoder(io.NopCloser(strings.NewReader(userStream(broken, `{"metadata":{"name":"intact"}}`))), decode)
		for _, intact := range []bool{false, true} {
			_, o, err := events.Decode()
			if err != nil {
				t.Fatal(err)
			}
			if fault := faultOf(t, o); (fault == "") != intact {
				t.Errorf("%+v has the fault %q", o, fault)
			}
		}
	}
}

func faultOf(t *testing.T, o runtime.Object) string {
	t.Helper()
	object, ok := o.(metav1.Object)
	if !ok {
		t.Fatalf("%T is not an object", o)
	}
	return stored.Fault(object)
}

// FuzzDecode checks that no input makes watchDecoder panic, and that it hands on each object whole, also
// after the next event.
func FuzzDecode(f *testing.F) {
	for _, object := range []string{storedUser, brokenUser, `{}`, `null`, `{"spec":{"passwords":[{"expiresAt":null}]}}`, `{"metadata":{"labels":{"a":null}}}`} {
		f.Add([]byte(object))
	}
	f.Fuzz(func(t *testing.T, object []byte) {
		_, _, _ = newTestDecoder(bytes.NewReader(object)).Decode()
		if !jsontext.Value(object).IsValid() {
			return // duplicate names or invalid UTF-8, neither of which an API server sends
		}
		events := newTestDecoder(strings.NewReader(userStream(string(object), strings.Repeat(" ", len(object))+storedUser)))
		kind, got, err := events.Decode()
		want, wantErr := stored.DecodeUser(object)
		if (err == nil) != (wantErr == nil) {
			t.Fatalf("%v, want %v", err, wantErr)
		} else if err != nil {
			return
		}
		_, next, err := events.Decode()
		if user, ok := next.(*authv1alpha1.User); err != nil || !ok || user.Name != "jean" {
			t.Fatalf("the next event is %+v, %v", next, err)
		}
		if kind != watch.Added || !equality.Semantic.DeepEqual(got, runtime.Object(want)) {
			t.Errorf("%s %+v\nwant %+v", kind, got, want)
		}
	})
}

// repeatingReader is a stream that repeats a text forever.
type repeatingReader struct {
	text   string
	offset int
}

func (e *repeatingReader) Read(p []byte) (int, error) {
	n := copy(p, e.text[e.offset:])
	e.offset = (e.offset + n) % len(e.text)
	return n, nil
}

// BenchmarkDecode decodes one event with each of the two decoders.
func BenchmarkDecode(b *testing.B) {
	stream := func() io.Reader { return &repeatingReader{text: userStream(storedUser)} }
	for name, events := range map[string]watch.Decoder{"own": newTestDecoder(stream()), "client-go": newClientGoDecoder(b, stream())} {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(len(userStream(storedUser))))
			b.ReportAllocs()
			for b.Loop() {
				if _, _, err := events.Decode(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
