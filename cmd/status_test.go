package cmd

import (
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	"github.com/gatehouse-auth/gatehouse/cmd/serve"
	"github.com/gatehouse-auth/gatehouse/test/apitest"
)

// probesAddress returns a free port of an address of this machine that an API server forwards
// requests to, which the loopback is not.
func probesAddress(t *testing.T) (ip string, port int32) {
	t.Helper()
	addresses, err := net.InterfaceAddrs()
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range addresses {
		network, ok := a.(*net.IPNet)
		if !ok || network.IP.To4() == nil || !network.IP.IsGlobalUnicast() {
			continue
		}
		listener, err := net.Listen("tcp", network.IP.String()+":0")
		if err != nil {
			t.Fatal(err)
		}
		defer listener.Close()
		address, err := netip.ParseAddrPort(listener.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		return network.IP.String(), int32(address.Port())
	}
	t.Skip("this machine has no address but the loopback")
	return "", 0
}

// replica declares the Pod of a replica, and returns the options with which the replica starts.
func (p *plugin) replica(name, version string) func(*serve.Options) {
	p.Helper()
	ip, port := probesAddress(p.T)
	p.pod(name, port, corev1.PodStatus{
		Phase: corev1.PodRunning, PodIP: ip, PodIPs: []corev1.PodIP{{IP: ip}},
		Conditions:        []corev1.PodCondition{{Type: corev1.PodReady, Status: corev1.ConditionTrue}},
		ContainerStatuses: []corev1.ContainerStatus{{Name: "gatehouse", RestartCount: 2}},
	})
	return func(o *serve.Options) {
		o.Version, o.HealthProbeBindAddress = version, fmt.Sprintf("%s:%d", ip, port)
	}
}

// pod declares a Pod of the service as a kubelet would.
func (p *plugin) pod(name string, probes int32, status corev1.PodStatus) {
	p.Helper()
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: "gatehouse-system", Name: name, Labels: map[string]string{"app.kubernetes.io/name": "gatehouse"}},
		Spec: corev1.PodSpec{Containers: []corev1.Container{{
			Name: "gatehouse", Image: "gatehouse:test", Ports: []corev1.ContainerPort{{Name: "probes", ContainerPort: probes}},
		}}},
	}
	if err := p.api.Create(p.Context(), pod); err != nil {
		p.Fatal(err)
	}
	p.Cleanup(func() { _ = p.api.Delete(context.Background(), pod, client.GracePeriodSeconds(0)) })
	pod.Status = status
	if err := p.api.Status().Update(p.Context(), pod); err != nil {
		p.Fatal(err)
	}
}

// statusOutput is what kubectl gatehouse status -o json prints.
type statusOutput struct {
	Replicas []struct {
		Name, Version, NotReady     string
		Ready                       bool
		Restarts                    int
		LastUpdate, CertificateEnds time.Time
	}
	Authority []struct{ Ends time.Time }
	Warnings  []string
}

func (p *plugin) status(args ...string) (s statusOutput) {
	p.Helper()
	out, _ := p.must(append([]string{"status", "-o", "json"}, args...)...)
	if err := json.Unmarshal([]byte(out), &s); err != nil {
		p.Fatalf("%v in %s", err, out)
	}
	return s
}

func TestStatusShowsReplicasAndCertificates(t *testing.T) {
	p := newPlugin(t)
	p.serve(p.replica("gatehouse-a", "v1.0.0"))
	p.serve(p.replica("gatehouse-b", "v1.1.0"))
	p.pod("gatehouse-c", 1, corev1.PodStatus{Phase: corev1.PodPending, ContainerStatuses: []corev1.ContainerStatus{{
		Name: "gatehouse", State: corev1.ContainerState{Waiting: &corev1.ContainerStateWaiting{Reason: "ImagePullBackOff", Message: "no such image"}},
	}}})
	p.remove("known")
	p.must("user", "create", "known", "--generate-password")
	var s statusOutput
	p.Eventually("both replicas have seen a User", func() bool {
		s = p.status()
		return len(s.Replicas) == 3 && !s.Replicas[0].LastUpdate.IsZero() && !s.Replicas[1].LastUpdate.IsZero()
	})
	for i, version := range []string{"v1.0.0", "v1.1.0"} {
		if r := s.Replicas[i]; r.Version != version || !r.Ready || r.NotReady != "" || r.Restarts != 2 || !r.CertificateEnds.After(time.Now()) {
			t.Errorf("replica %+v, want version %s, ready, restarted twice, with a certificate", r, version)
		}
	}
	if r := s.Replicas[2]; r.Ready || r.Version != "" || r.NotReady != "ImagePullBackOff: no such image" {
		t.Errorf("replica %+v, want one that waits for its image", r)
	}
	if len(s.Authority) != 1 || !s.Authority[0].Ends.After(time.Now()) {
		t.Errorf("authority %+v, want one that has not ended", s.Authority)
	}
	out, errOut := p.must("status")
	for _, want := range []string{"2 of 3 replicas in namespace gatehouse-system are ready.", "gatehouse-a   yes     v1.0.0    ", "The CA with serial number"} {
		if !strings.Contains(out, want) {
			t.Errorf("the table lacks %q:\n%s", want, out)
		}
	}
	for _, want := range []string{"gatehouse-c is not ready: ImagePullBackOff", "different versions: v1.0.0, v1.1.0"} {
		if !strings.Contains(errOut, want) {
			t.Errorf("the warnings lack %q:\n%s", want, errOut)
		}
	}
}

func TestStatusNamesTheMissingRight(t *testing.T) {
	p := newPlugin(t)
	p.serve(p.replica("gatehouse-a", "v1.0.0"))
	p.grantOperator("operator", func(string) bool { return true })
	p.grantOperator("reader", func(resource string) bool { return resource == "pods" })
	p.Eventually("the operator sees the version", func() bool {
		s := p.status("--as", "operator")
		return len(s.Replicas) == 1 && s.Replicas[0].Version == "v1.0.0" && len(s.Authority) == 1 && len(s.Warnings) == 0
	})
	s := p.status("--as", "reader")
	if len(s.Replicas) != 1 || !s.Replicas[0].Ready || s.Replicas[0].Version != "" {
		t.Errorf("a reader of Pods sees %+v, want what the Pod says", s.Replicas)
	}
	for _, right := range []string{`cannot get resource "pods/proxy"`, `cannot get resource "configmaps"`} {
		if !slices.ContainsFunc(s.Warnings, func(w string) bool { return strings.Contains(w, right) && strings.Contains(w, "docs/rights.md") }) {
			t.Errorf("the warnings do not say %q: %q", right, s.Warnings)
		}
	}
	if _, _, err := p.run("", "status", "--as", "nobody"); err == nil || !strings.Contains(err.Error(), `cannot list resource "pods"`) {
		t.Errorf("got error %v for nobody", err)
	}
	if _, _, err := p.run("", "status", "-n", "default"); err == nil || !strings.Contains(err.Error(), "-n names the namespace") {
		t.Errorf("got error %v for a namespace without the service", err)
	}
}

// grantOperator grants a person the rules of the Role gatehouse-operator in docs/rights.md that are
// about some resources.
func (p *plugin) grantOperator(person string, about func(resource string) bool) {
	p.Helper()
	page, err := os.ReadFile("../docs/rights.md")
	if err != nil {
		p.Fatal(err)
	}
	_, text, _ := strings.Cut(string(page), "metadata: {name: gatehouse-operator, namespace: gatehouse-system}\n")
	text, _, _ = strings.Cut(text, "---\n")
	role := &rbacv1.Role{}
	if err := yaml.UnmarshalStrict([]byte(text), role); err != nil || len(role.Rules) == 0 {
		p.Fatalf("docs/rights.md has no rules for the operator: %v", err)
	}
	role.ObjectMeta = metav1.ObjectMeta{Namespace: "gatehouse-system", Name: person}
	role.Rules = slices.DeleteFunc(role.Rules, func(r rbacv1.PolicyRule) bool { return !about(r.Resources[0]) })
	binding := &rbacv1.RoleBinding{ObjectMeta: role.ObjectMeta, RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: person},
		Subjects: []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: "User", Name: person}}}
	for _, o := range []client.Object{role, binding} {
		if err := client.IgnoreAlreadyExists(p.api.Create(p.Context(), o)); err != nil {
			p.Fatal(err)
		}
	}
	apitest.Eventually(p.T, "the right is granted", func() bool {
		_, _, err := p.run("", "status", "--as", person)
		return err == nil
	})
}
