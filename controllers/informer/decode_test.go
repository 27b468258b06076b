package informer

import (
	"fmt"
	"io"
	"strings"
	"testing"
	"testing/iotest"

	"k8s.io/apimachinery/pkg/api/equality"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	authv1alpha1 "github.com/gatehouse-auth/gatehouse/api/v1alpha1"
	"github.com/gatehouse-auth/gatehouse/controllers/stored"
	"github.com/gatehouse-auth/gatehouse/test/apitest"
)

func userList(objects ...string) string {
	return `{"kind":"UserList","apiVersion":"auth.gatehouse.dev/v1alpha1","metadata":{"resourceVersion":"9","continue":"next","remainingItemCount":3},"items":[` +
		strings.Join(objects, ",") + "]}\n"
}

func TestDecodedListMatchesClientGo(t *testing.T) {
	t.Parallel()
	text := userList(storedUser, strings.Replace(storedUser, "jean", `\u00e9\ud83d\ude00`, 1))
	got, err := decodePage(strings.NewReader(text), decodeWhole)
	if err != nil {
		t.Fatal(err)
	}
	decoded, err := runtime.Decode(serializer.NewCodecFactory(apitest.Scheme(t)).UniversalDeserializer(), []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	want, ok := decoded.(*authv1alpha1.UserList)
	if !ok {
		t.Fatalf("client-go reads a %T", decoded)
	}
	if !equality.Semantic.DeepEqual(got.ListMeta, want.ListMeta) {
		t.Errorf("the metadata is %+v, want %+v", got.ListMeta, want.ListMeta)
	}
	if len(got.objects) != len(want.Items) {
		t.Fatalf("%d objects, want %d", len(got.objects), len(want.Items))
	}
	for i := range want.Items {
		want.Items[i].ManagedFields = nil // decodeWhole leaves them out
		if !equality.Semantic.DeepEqual(got.objects[i], client.Object(&want.Items[i])) {
			t.Errorf("object %d is %+v\nwant %+v", i, got.objects[i], want.Items[i])
		}
	}
}

func TestBrokenObjectDoesNotEndAList(t *testing.T) {
	t.Parallel()
	for broken, decode := range map[string]decodeFunc{brokenUser: decodeUser, brokenToken: decodeToken} {
		p, err := decodePage(strings.NewReader(userList(`{"metadata":{"name":"intact"}}`, broken)), decode)
		if err != nil {
			t.Fatal(err)
		}
		if len(p.objects) != 2 || stored.Fault(p.objects[0]) != "" || stored.Fault(p.objects[1]) == "" {
			t.Errorf("the page is %+v", p.objects)
		}
	}
}

func TestListThatIsNotWholeIsAnError(t *testing.T) {
	t.Parallel()
	whole := userList(storedUser)
	for _, text := range []string{"", "<html>", "[]", `{"items":{}}`, `{"items":[5]}`, whole[:len(whole)-4], whole[:900], whole + whole} {
		if p, err := decodePage(iotest.OneByteReader(strings.NewReader(text)), decodeUser); err == nil {
			t.Errorf("%.20q... is read as %+v", text, p)
		}
	}
	for _, text := range []string{`{"items":null}`, `{"items":[]}`, `{"metadata":{}}`} {
		if p, err := decodePage(strings.NewReader(text), decodeUser); err != nil || len(p.objects) != 0 {
			t.Errorf("%s is read as %+v, %v", text, p, err)
		}
	}
}

func TestAPIServerThatOnlyListsIsFollowed(t *testing.T) {
	w := apitest.NewWorld(t)
	jean := w.NewUser("jean", `{groups: [a]}`)
	token := &authv1alpha1.Token{ObjectMeta: metav1.ObjectMeta{Namespace: w.NS, Name: "t"}, Spec: authv1alpha1.TokenSpec{
		UserRef: authv1alpha1.UserReference{Name: "jean", UID: string(jean.UID)}, TokenID: "an-id", Kind: authv1alpha1.TokenOpaque,
		IssuedAt: metav1.NowMicro(), ExpiresAt: metav1.NewMicroTime(metav1.Now().AddDate(1, 0, 0)),
	}}
	w.MustCreate(token)
	namespaces := startUsers(w, apitest.ListOnly)
	w.Eventually("the Token is there", func() bool { return len(namespaces.TokensByID(w.NS, "an-id")) == 1 })
	key := types.NamespacedName{Namespace: w.NS, Name: "jean"}
	if u := namespaces.User(key); u == nil || u.ResourceVersion != jean.ResourceVersion || fmt.Sprint(u.Spec.Groups) != "[a]" {
		t.Errorf("the cache has %+v, want %+v", u, jean)
	}
	w.MustPatch(jean, `{"spec":{"revoked":true}}`)
	w.Eventually("the change is there", func() bool { return namespaces.User(key).Spec.Revoked })
}

// Errors of decoders go into the log.
func TestErrorOfABrokenSecretHasNoPassword(t *testing.T) {
	t.Parallel()
	for _, data := range []string{`{"password":"12345!"}`, `{"password":12345}`, `{"password":["12345"]}`, `"12345"`, `12345`} {
		broken := `{"metadata":{"name":"jean"},"data":` + data + `}`
		_, listed := decodePage(strings.NewReader(userList(broken)), decodeSecret)
		_, _, watched := newEvents(io.NopCloser(strings.NewReader(userStream(broken))), decodeSecret).next()
		for _, err := range []error{listed, watched} {
			if err == nil || strings.Contains(err.Error(), "12345") {
				t.Errorf("%s: the error is %v", data, err)
			}
		}
	}
}
