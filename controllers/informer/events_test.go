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
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/apimachinery/pkg/runtime/serializer/streaming"
	"k8s.io/apimachinery/pkg/watch"
	restwatch "k8s.io/client-go/rest/watch"
	"sigs.k8s.io/controller-runtime/pkg/client"

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

// decodeWhole returns a User with all its metadata.
func decodeWhole(raw []byte) (client.Object, error) {
	u, err := stored.DecodeUser(raw)
	if err != nil {
		return nil, err
	}
	return u, nil
}

func newTestEvents(stream io.Reader) *events { return newEvents(io.NopCloser(stream), decodeWhole) }

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

func TestEventsMatchThoseOfClientGo(t *testing.T) {
	t.Parallel()
	stream := userStream(storedUser, strings.Replace(storedUser, "jean", `\u00e9\ud83d\ude00`, 1)) +
		`{"type":"MODIFIED","object":` + storedUser + `} {"type":"DELETED","object":` + storedUser + "}\n"
	ours, theirs := newTestEvents(strings.NewReader(stream)), newClientGoDecoder(t, strings.NewReader(stream))
	for n := 0; ; n++ {
		gotType, got, err := ours.next()
		wantType, want, wantErr := theirs.Decode()
		if errors.Is(err, io.EOF) && errors.Is(wantErr, io.EOF) {
			if n != 4 {
				t.Errorf("%d events, want 4", n)
			}
			return
		}
		if err != nil || wantErr != nil {
			t.Fatalf("event %d: %v; client-go: %v", n, err, wantErr)
		}
		if user, ok := want.(*authv1alpha1.User); ok {
			user.ManagedFields = nil // decodeWhole leaves them out
		}
		if gotType != wantType || !equality.Semantic.DeepEqual(runtime.Object(got), want) {
			t.Errorf("event %d:\n%s %+v\nclient-go:\n%s %+v", n, gotType, got, wantType, want)
		}
	}
}

func TestBookmarkEndsTheInitialEvents(t *testing.T) {
	t.Parallel()
	bookmark := `{"type":"BOOKMARK","object":{"kind":"User","metadata":{"resourceVersion":"%s","annotations":{%s}},"spec":{}}}`
	stream := userStream(storedUser, `{"metadata":{"name":"gone"}}`) + `{"type":"DELETED","object":{"metadata":{"name":"gone"}}}` + fmt.Sprintf(bookmark, "8", "") +
		fmt.Sprintf(bookmark, "9", `"k8s.io/initial-events-end":"true"`) + userStream(`{"metadata":{"name":"later"}}`)
	e := newTestEvents(strings.NewReader(stream))
	objects, version, err := e.initial()
	if err != nil || version != "9" || len(objects) != 1 || objects[0].GetName() != "jean" {
		t.Fatalf("the watch begins with %v at %s, error %v", objects, version, err)
	}
	if kind, o, err := e.next(); err != nil || kind != watch.Added || o.GetName() != "later" {
		t.Errorf("then comes %s %v, error %v", kind, o, err)
	}
	if _, _, err := newTestEvents(strings.NewReader(userStream(storedUser))).initial(); !errors.Is(err, io.EOF) {
		t.Errorf("a watch that ends before: %v", err)
	}
}

func TestErrorsOfTheAPIServerArrive(t *testing.T) {
	t.Parallel()
	gone := `{"type":"ERROR","object":{"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure","message":"too old resource version","reason":"Expired","code":410}}`
	if _, _, err := newTestEvents(strings.NewReader(gone)).next(); !apierrors.IsResourceExpired(err) {
		t.Errorf("got %v", err)
	}
}

func TestDecodeBrokenStream(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ stream, want string }{
		"cut off in an event":   {userStream(storedUser)[:900], io.EOF.Error()},
		"not JSON":              {"<html>", "invalid character"},
		"of unknown type":       {`{"type":"RENAMED","object":{}}`, `unknown type "RENAMED"`},
		"without an object":     {`{"type":"ADDED"}`, "read a User"},
		"with another object":   {`{"type":"ADDED","object":[]}`, "read a User"},
		"with a value too long": {`{"type":"ADDED","object":{"spec":{"email":"` + strings.Repeat("x", maximumEventSize), "longer than 16777216 bytes"},
	} {
		if _, _, err := newTestEvents(strings.NewReader(c.stream)).next(); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
}

func TestDecodeLostConnection(t *testing.T) {
	t.Parallel()
	lost := iotest.ErrReader(errors.New("http2: client connection lost"))
	e := newTestEvents(io.MultiReader(strings.NewReader(userStream(storedUser)), lost))
	if _, _, err := e.next(); err != nil {
		t.Fatal(err)
	}
	if _, _, err := e.next(); !errors.Is(err, io.EOF) {
		t.Errorf("%v, want %v", err, io.EOF)
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
		e := newEvents(io.NopCloser(strings.NewReader(userStream(broken, `{"metadata":{"name":"intact"}}`))), decode)
		for _, intact := range []bool{false, true} {
			_, o, err := e.next()
			if err != nil {
				t.Fatal(err)
			}
			if fault := stored.Fault(o); (fault == "") != intact {
				t.Errorf("%+v has the fault %q", o, fault)
			}
		}
	}
}

// FuzzDecode checks that no input makes the events of a watch panic, and that it hands on each object whole, also
// after the next event.
func FuzzDecode(f *testing.F) {
	for _, object := range []string{storedUser, brokenUser, `{}`, `null`, `{"spec":{"passwords":[{"expiresAt":null}]}}`, `{"metadata":{"labels":{"a":null}}}`} {
		f.Add([]byte(object))
	}
	f.Fuzz(func(t *testing.T, object []byte) {
		_, _, _ = newTestEvents(bytes.NewReader(object)).next()
		if !jsontext.Value(object).IsValid() {
			return // duplicate names or invalid UTF-8, neither of which an API server sends
		}
		e := newTestEvents(strings.NewReader(userStream(string(object), strings.Repeat(" ", len(object))+storedUser)))
		kind, got, err := e.next()
		want, wantErr := stored.DecodeUser(object)
		if (err == nil) != (wantErr == nil) {
			t.Fatalf("%v, want %v", err, wantErr)
		} else if err != nil {
			return
		}
		_, next, err := e.next()
		if user, ok := next.(*authv1alpha1.User); err != nil || !ok || user.Name != "jean" {
			t.Fatalf("the next event is %+v, %v", next, err)
		}
		if kind != watch.Added || !equality.Semantic.DeepEqual(got, client.Object(want)) {
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
	own, theirs := newTestEvents(stream()), newClientGoDecoder(b, stream())
	for name, decode := range map[string]func() error{
		"own":       func() error { _, _, err := own.next(); return err },
		"client-go": func() error { _, _, err := theirs.Decode(); return err },
	} {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(len(userStream(storedUser))))
			b.ReportAllocs()
			for b.Loop() {
				if err := decode(); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
