package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/kubernetes"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"sigs.k8s.io/controller-runtime/pkg/client"

	authv1alpha1 "github.com/gatehouse-auth/gatehouse/api/v1alpha1"
	commandline "github.com/gatehouse-auth/gatehouse/cmd"
)

const (
	system = "gatehouse-system"
	users  = "gatehouse-users"
	root   = "../.."
)

// suite is what all tests share: the cluster, and what the whole run collects.
var suite struct {
	client.Client
	pods     kubernetes.Interface // for logs, which are not objects
	config   *rest.Config
	fault    time.Duration // how long a fault lasts
	tries    int           // how often a latency is measured
	findings report
	logs     logs
}

func TestMain(m *testing.M) {
	if os.Getenv("GATEHOUSE_E2E") == "" {
		fmt.Println("skipped: GATEHOUSE_E2E is not set; make e2e runs these tests")
		return
	}
	if err := prepare(); err != nil {
		fmt.Fprintln(os.Stderr, "install:", err)
		os.Exit(1)
	}
	code := m.Run()
	if err := suite.logs.check(); err != nil {
		fmt.Fprintln(os.Stderr, "FAIL: the logs of the replicas:", err)
		code = 1
	}
	if err := suite.findings.write(os.Getenv("E2E_REPORT")); err != nil {
		fmt.Fprintln(os.Stderr, "report:", err)
		code = 1
	}
	os.Exit(code)
}

// prepare connects to the cluster, installs the service as a user does, and waits until it is
// ready.
func prepare() error {
	config, err := clientcmd.NewNonInteractiveDeferredLoadingClientConfig(
		clientcmd.NewDefaultClientConfigLoadingRules(), &clientcmd.ConfigOverrides{}).ClientConfig()
	if err != nil {
		return err
	}
	config.QPS, config.Burst = 500, 500
	if err := authv1alpha1.AddToScheme(scheme.Scheme); err != nil {
		return err
	}
	suite.config = config
	if suite.Client, err = client.New(config, client.Options{Scheme: scheme.Scheme}); err != nil {
		return err
	}
	if suite.pods, err = kubernetes.NewForConfig(config); err != nil {
		return err
	}
	suite.fault = time.Duration(envInt("E2E_SECONDS", 120)) * time.Second
	suite.tries = envInt("E2E_TRIES", 100)
	if err := suite.logs.follow(); err != nil {
		return err
	}
	return install()
}

// install applies the manifests, the samples and what the client needs, with IMAGE. The service runs
// with further flags, if there are any.
func install(flags ...string) error {
	manifests, err := kubectl("", "kustomize", root+"/config/overlays/kind")
	if err != nil {
		return err
	}
	manifests = strings.ReplaceAll(manifests, "ghcr.io/gatehouse-auth/gatehouse:latest", imageName("IMAGE"))
	const args = "- args:\n        - serve\n"
	if !strings.Contains(manifests, args) {
		return fmt.Errorf("the Deployment does not begin with the arguments %q", args)
	}
	for _, f := range flags {
		manifests = strings.Replace(manifests, args, args+"        - "+f+"\n", 1)
	}
	steps := []struct {
		stdin string
		args  []string
	}{
		{manifests, []string{"apply", "--server-side", "-f", "-"}},
		{"", []string{"wait", "--for=condition=Established", "--timeout=60s", "crd/users.auth.gatehouse.dev", "crd/tokens.auth.gatehouse.dev"}},
		{"", []string{"-n", system, "rollout", "status", "deployment/gatehouse", "--timeout=180s"}},
		{"", []string{"apply", "-k", root + "/config/samples"}},
		{"", []string{"apply", "-f", "testdata/client.yaml"}},
	}
	for _, s := range steps {
		if _, err := kubectl(s.stdin, s.args...); err != nil {
			return err
		}
	}
	return nil
}

// kubectl runs kubectl with stdin and returns what it prints.
func kubectl(stdin string, args ...string) (string, error) {
	cmd := exec.Command("kubectl", args...)
	cmd.Stdin = strings.NewReader(stdin)
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return "", fmt.Errorf("kubectl %s: %w: %s", strings.Join(args, " "), err, stderr.String())
	}
	return string(out), nil
}

// plugin runs kubectl gatehouse, which must succeed, and returns what it prints.
func plugin(t *testing.T, args ...string) string {
	t.Helper()
	var out, errOut strings.Builder
	command := commandline.NewPlugin("e2e")
	command.SetOut(&out)
	command.SetErr(&errOut)
	command.SetArgs(args)
	if err := command.ExecuteContext(t.Context()); err != nil {
		t.Fatalf("kubectl gatehouse %s: %v: %s", strings.Join(args, " "), err, errOut.String())
	}
	return out.String()
}

// imageName returns the image that an environment variable names, or the one that hack/e2e.sh
// builds.
func imageName(name string) string {
	if v := os.Getenv(name); v != "" {
		return v
	}
	return map[string]string{
		"IMAGE": "ghcr.io/gatehouse-auth/gatehouse:e2e", "CLIENT_IMAGE": "ghcr.io/gatehouse-auth/e2e-client:e2e",
	}[name]
}

// envInt returns the integer in an environment variable, or otherwise if there is none.
func envInt(name string, otherwise int) int {
	if n, err := strconv.Atoi(os.Getenv(name)); err == nil {
		return n
	}
	return otherwise
}

// replicas returns the ready Pods of the service.
func replicas(t *testing.T) []corev1.Pod {
	t.Helper()
	var list corev1.PodList
	if err := suite.List(t.Context(), &list, client.InNamespace(system), client.MatchingLabels{"app.kubernetes.io/name": "gatehouse"}); err != nil {
		t.Fatal(err)
	}
	var ready []corev1.Pod
	for _, p := range list.Items {
		for _, c := range p.Status.Conditions {
			if c.Type == corev1.PodReady && c.Status == corev1.ConditionTrue && p.DeletionTimestamp == nil {
				ready = append(ready, p)
			}
		}
	}
	return ready
}

// threeReplicas returns the three replicas once all are ready. After a fault of the API server that may
// take a while: nodes that have not reported to it count as lost, and their Pods as not ready.
func threeReplicas(t *testing.T) (ready []corev1.Pod) {
	t.Helper()
	eventually(t, 3*time.Minute, "three replicas are ready", func() error {
		if ready = replicas(t); len(ready) != 3 {
			return fmt.Errorf("%d are ready", len(ready))
		}
		return nil
	})
	return ready
}

// addresses returns those of the three replicas, for the flag -replicas of the client.
func addresses(t *testing.T, port int) string {
	t.Helper()
	var all []string
	for _, p := range threeReplicas(t) {
		all = append(all, fmt.Sprintf("%s:%d", p.Status.PodIP, port))
	}
	return strings.Join(all, ",")
}
