package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// experiment is a Pod that runs the client.
type experiment struct {
	pod *corev1.Pod
}

// start runs the client in the cluster and returns at once.
func start(t *testing.T, args ...string) *experiment {
	t.Helper()
	return startAs(t, "e2e-client", args...)
}

// startAs is like start, with another ServiceAccount. The Pod has a token of it for the service, in
// the file tokenFile.
func startAs(t *testing.T, serviceAccount string, args ...string) *experiment {
	t.Helper()
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: users, GenerateName: "e2e-" + args[0] + "-"},
		Spec: corev1.PodSpec{
			ServiceAccountName: serviceAccount,
			RestartPolicy:      corev1.RestartPolicyNever,
			SecurityContext: &corev1.PodSecurityContext{
				RunAsNonRoot: new(true), RunAsUser: new(int64(65532)),
				SeccompProfile: &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeRuntimeDefault},
			},
			Containers: []corev1.Container{{
				Name: "client", Image: imageName("CLIENT_IMAGE"), ImagePullPolicy: corev1.PullIfNotPresent, Args: args,
				VolumeMounts: []corev1.VolumeMount{{Name: "ca", MountPath: "/ca"}, {Name: "token", MountPath: "/token"}},
				SecurityContext: &corev1.SecurityContext{
					AllowPrivilegeEscalation: new(false), ReadOnlyRootFilesystem: new(true),
					Capabilities: &corev1.Capabilities{Drop: []corev1.Capability{"ALL"}},
				},
			}},
			Volumes: []corev1.Volume{{Name: "ca", VolumeSource: corev1.VolumeSource{ConfigMap: &corev1.ConfigMapVolumeSource{
				LocalObjectReference: corev1.LocalObjectReference{Name: "gatehouse-ca"},
			}}}, {Name: "token", VolumeSource: corev1.VolumeSource{Projected: &corev1.ProjectedVolumeSource{
				Sources: []corev1.VolumeProjection{{ServiceAccountToken: &corev1.ServiceAccountTokenProjection{
					Path: "gatehouse", Audience: "https://gatehouse." + system + ".svc",
				}}},
			}}}},
		},
	}
	if err := suite.Create(t.Context(), pod); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = suite.Delete(context.Background(), pod, client.GracePeriodSeconds(1)) })
	return &experiment{pod}
}

// awaitStarted waits until the experiment prints that it has started.
func (e *experiment) awaitStarted(t *testing.T) {
	t.Helper()
	eventually(t, time.Minute, "the client has started", func() error {
		if text := e.logs(t); !strings.Contains(text, "started") {
			return fmt.Errorf("the client printed %q", text)
		}
		return nil
	})
}

// stop tells an experiment that runs until it is told to end that it should.
func (e *experiment) stop(t *testing.T) {
	t.Helper()
	binary := imageName("CLIENT_IMAGE")
	binary = binary[strings.LastIndex(binary, "/")+1:]
	binary, _, _ = strings.Cut(binary, ":")
	if _, err := kubectl("", "-n", users, "exec", e.pod.Name, "--", "/"+binary, "stop"); err != nil {
		t.Fatal(err)
	}
}

// result waits for the end of the experiment and decodes the last line that it printed into out.
func (e *experiment) result(t *testing.T, out any) {
	t.Helper()
	eventually(t, 15*time.Minute, "the client has ended", func() error {
		if err := suite.Get(t.Context(), client.ObjectKeyFromObject(e.pod), e.pod); err != nil {
			return err
		}
		if p := e.pod.Status.Phase; p != corev1.PodSucceeded && p != corev1.PodFailed {
			return fmt.Errorf("the Pod is %s", p)
		}
		return nil
	})
	text := e.logs(t)
	if e.pod.Status.Phase == corev1.PodFailed {
		t.Fatalf("the client failed: %s", text)
	}
	var last string
	for line := range strings.Lines(text) {
		last = strings.TrimSpace(line)
		if token, found := strings.CutPrefix(last, "used "); found {
			suite.logs.addUsed(token)
		}
	}
	if err := json.Unmarshal([]byte(last), out); err != nil {
		t.Fatalf("the client printed %q at the end: %v", last, err)
	}
	t.Logf("%s: %s", e.pod.Spec.Containers[0].Args[0], last)
}

func (e *experiment) logs(t *testing.T) string {
	t.Helper()
	stream, err := suite.pods.CoreV1().Pods(users).GetLogs(e.pod.Name, &corev1.PodLogOptions{}).Stream(t.Context())
	if err != nil {
		return "" // not running yet
	}
	defer stream.Close()
	text, err := io.ReadAll(stream)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// eventually asks every half second until there is no error. It fails the test if there is still
// one after within; what is the condition that should hold, for the message.
func eventually(t *testing.T, within time.Duration, what string, ask func() error) {
	t.Helper()
	var err error
	for end := time.Now().Add(within); time.Now().Before(end); hold(t.Context(), 500*time.Millisecond) {
		if err = ask(); err == nil {
			return
		}
	}
	t.Fatalf("%s: not within %s: %v", what, within, err)
}

// hold lets things go on as they are for d, or until ctx ends.
func hold(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}
