package foreign_test

import (
	"testing"

	bootstrapv3 "github.com/envoyproxy/go-control-plane/envoy/config/bootstrap/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/ext_authz/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/header_mutation/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/http/router/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/filters/network/http_connection_manager/v3"
	_ "github.com/envoyproxy/go-control-plane/envoy/extensions/transport_sockets/tls/v3"
	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/types/known/anypb"
	"sigs.k8s.io/yaml"
)

// TestEnvoyConfiguration holds the configuration of Envoy, which no test runs, against Envoy's own
// types and their rules, also within extensions.
func TestEnvoyConfiguration(t *testing.T) {
	text, err := yaml.YAMLToJSONStrict([]byte(docsBlock(t, "forward-auth.md", "envoy.yaml")))
	if err != nil {
		t.Fatal(err)
	}
	var bootstrap bootstrapv3.Bootstrap
	if err := protojson.Unmarshal(text, &bootstrap); err != nil {
		t.Fatal(err)
	}
	if extensions := validate(t, &bootstrap); extensions != 6 {
		t.Errorf("the configuration has %d extensions, want two of TLS, the connection manager, and three filters", extensions)
	}
}

// validate checks the rules of a message, and those of the extensions within it, and returns how
// many extensions there are.
func validate(t *testing.T, message proto.Message) (extensions int) {
	t.Helper()
	if rules, ok := message.(interface{ ValidateAll() error }); ok {
		if err := rules.ValidateAll(); err != nil {
			t.Error(err)
		}
	}
	if packed, ok := message.(*anypb.Any); ok {
		inner, err := packed.UnmarshalNew()
		if err != nil {
			t.Fatal(err)
		}
		return 1 + validate(t, inner)
	}
	message.ProtoReflect().Range(func(field protoreflect.FieldDescriptor, value protoreflect.Value) bool {
		switch {
		case field.Message() == nil || field.IsMap():
		case field.IsList():
			for i := range value.List().Len() {
				extensions += validate(t, value.List().Get(i).Message().Interface())
			}
		default:
			extensions += validate(t, value.Message().Interface())
		}
		return true
	})
	return extensions
}
