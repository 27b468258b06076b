package controllers

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"

	"github.com/gatehouse-auth/gatehouse/test/apitest"
)

// The samples are the first thing that anyone tries, and their comments say how to log in.
func TestSamplesLogIn(t *testing.T) {
	w := apitest.NewWorld(t)
	d := newReplica(w)
	files, err := filepath.Glob("../config/samples/*.yaml")
	if err != nil || len(files) < 2 {
		t.Fatalf("the samples are %v (%v)", files, err)
	}
	login, secret := regexp.MustCompile(`(?m)^# Login: (\S+)`), regexp.MustCompile(`(?i)password: (\S+)`)
	for _, file := range files {
		if filepath.Base(file) == "kustomization.yaml" {
			continue
		}
		raw, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		var user string
		for document := range strings.SplitSeq(string(raw), "\n---\n") {
			o := &unstructured.Unstructured{}
			if err := yaml.Unmarshal([]byte(document), o); err != nil {
				t.Fatal(err)
			}
			o.SetNamespace(w.NS)
			w.MustCreate(o)
			if o.GetKind() == "User" {
				user = o.GetName()
			}
		}
		w.AwaitStatus(user, "Active", "Active")
		comment := login.FindStringSubmatch(string(raw))
		if comment == nil {
			t.Fatalf("%s does not say how to log in", file)
		}
		line, _, _ := strings.Cut(string(raw)[strings.Index(string(raw), comment[0]):], "\n")
		for _, pw := range secret.FindAllStringSubmatch(line, -1) {
			w.Eventually(comment[1]+" logs in with the password of "+file, func() bool { return apitest.Verifies(d, comment[1], pw[1]) })
		}
	}
}
