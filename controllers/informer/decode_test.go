package informer

import (
	"fmt"
	"strings"
	"testing"
	"testing/iotest"

	"k8s.io/apimachinery/pkg/api/equality"
	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/serializer"
	"k8s.io/apimachinery/pkg/types"

	authv1alpha1 "github.com/gatehouse-auth/gatehouse/api/v1alpha1"
	"github.com/gatehouse-auth/gatehouse/test/apitest"
)

func userList(objects ...string) string {
	return `{"kind":"UserList","apiVersion":"auth.gatehouse.dev/v1alpha1","metadata":{"resourceVersion":"9","continue":"next","remainingItemCount":3},"items":[` +
		strings.Join(objects, ",") + "]}\n"
}

func TestDecodedListMatchesClientGo(t *testing.T) {
	t.Parallel()
	text := userList(storedUser, strings.Replace(storedUser, "jean", `\u00e9\ud83d\ude00`, 1))
	got, err := decodeList(strings.NewReader(text), decodeUser)
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
	if meta.LenList(got) != len(want.Items) {
		t.Fatalf("%d objects, want %d", meta.LenList(got), len(want.Items))
	}
	for i := range want.Items {
		want.Items[i].ManagedFields = nil // decodeUser leaves them out
		if !equality.Semantic.DeepEqual(got.Items[i], runtime.Object(&want.Items[i])) {
			t.Errorf("object %d is %+v\nwant %+v", i, got.Items[i], want.Items[i])
		}
	}
}

func TestBrokenObjectDoesNotEndAList(t *testing.T) {
	t.Parallel()
	for broken, decode := range map[string]decodeFunc{brokenUser: decodeUser, brokenToken: decodeToken} {
		list, err := decodeList(strings.NewReader(userList(`{"metadata":{"name":"intact"}}`, broken)), decode)
		if err != nil {
			t.Fatal(err)
		}
		if len(list.Items) != 2 || faultOf(t, list.Items[0]) != "" || faultOf(t, list.Items[1]) == "" {
			t.Errorf("the list is %+v", list.Items)
		}
	}
}

func TestListThatIsNotWholeIsAnError(t *testing.T) {
	t.Parallel()
	whole := userList(storedUser)
	for _, text := range []string{"", "<html>", "[]", `{"items":{}}`, `{"items":[5]}`, whole[:len(whole)-4], whole[:900], whole + whole} {
		if list, err := decodeList(iotest.OneByteReader(strings.NewReader(text)), decodeUser); err == nil {
			t.Errorf("%.20q... is read as %+v", text, list)
		}
	}
	for _, text := range []string{`{"items":null}`, `{"items":[]}`, `{"metadata":{}}`} {
		if list, err := decodeList(strings.NewReader(text), decodeUser); err != nil || len(list.Items) != 0 {
			t.Errorf("%s is read as %+v, %v", text, list, err)
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
