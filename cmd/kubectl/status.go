package kubectl

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/spf13/cobra"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	corev1client "k8s.io/client-go/kubernetes/typed/core/v1"
	"k8s.io/client-go/rest"

	"github.com/gatehouse-auth/gatehouse/cmd/output"
)

// replicaSelector selects the Pods of the service, as config/ and the chart label them.
const replicaSelector = "app.kubernetes.io/name=gatehouse"

// newStatus returns the command that shows the replicas of the service and their certificates.
func newStatus() *cobra.Command {
	o := newOptions()
	var out output.Flag
	cmd := &cobra.Command{
		Use:   "status",
		Short: "Show the replicas of the service, their versions and their certificates",
		Long: "Shows each replica of the service: whether it is ready and why not, its version, when the last change of a User, a\n" +
			"Secret or a Token reached it, and when the certificate that it serves ends. A warning says what is worth a look.\n\n" +
			"The service is in the namespace that -n names, or in $POD_NAMESPACE or gatehouse-system. You need the Role\n" +
			"gatehouse-operator of docs/rights.md: the replicas are asked through the API server.",
		Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if err := out.Check(); err != nil {
				return err
			}
			s, err := o.status(cmd.Context())
			if err != nil {
				return err
			}
			err = out.Print(cmd.OutOrStdout(), s, s.write)
			for _, warning := range s.Warnings {
				say(cmd, "warning: %s", warning)
			}
			return err
		},
	}
	o.bind(cmd)
	out.Bind(cmd)
	return cmd
}

// serviceStatus is what kubectl gatehouse status shows.
type serviceStatus struct {
	Namespace string      `json:"namespace"`
	Replicas  []replica   `json:"replicas"`
	Authority []authority `json:"authority,omitempty"` // none if the service has a certificate of its operator
	Warnings  []string    `json:"warnings,omitempty"`

	now time.Time
}

// status reads the status of the service. What the person may not read becomes a warning, unless
// nothing is left to show.
func (o *options) status(ctx context.Context) (*serviceStatus, error) {
	config, err := o.flags.ToRESTConfig()
	if err != nil {
		return nil, fmt.Errorf("no cluster to ask: %w", err)
	}
	c, err := corev1client.NewForConfig(config)
	if err != nil {
		return nil, fmt.Errorf("connect to the cluster: %w", err)
	}
	namespace := cmp.Or(*o.flags.Namespace, os.Getenv("POD_NAMESPACE"), "gatehouse-system")
	pods, err := c.Pods(namespace).List(ctx, metav1.ListOptions{LabelSelector: replicaSelector})
	if err != nil {
		return nil, explain(err)
	}
	if len(pods.Items) == 0 {
		return nil, fmt.Errorf("no Pod in namespace %s has the label %s; -n names the namespace of the service", namespace, replicaSelector)
	}
	s := &serviceStatus{Namespace: namespace, Replicas: make([]replica, len(pods.Items)), now: o.now()}
	s.ask(ctx, c.RESTClient(), pods.Items)
	s.readAuthority(ctx, c.ConfigMaps(namespace))
	s.compare()
	return s, nil
}

// ask asks all replicas at once.
func (s *serviceStatus) ask(ctx context.Context, c rest.Interface, pods []corev1.Pod) {
	var group sync.WaitGroup
	errs := make([]error, len(pods))
	for i := range pods {
		s.Replicas[i] = newReplica(&pods[i])
		group.Go(func() { errs[i] = s.Replicas[i].ask(ctx, c, s.Namespace, portOf(&pods[i])) })
	}
	group.Wait()
	for i, err := range errs {
		switch {
		case s.Replicas[i].Terminating: // and may be gone by now
		case apierrors.IsForbidden(err):
			s.warn("%v", explain(err))
			return // the others say the same
		case apierrors.IsNotFound(err):
			s.warn("replica %s does not say how it is; it may run an older version", s.Replicas[i].Name)
		case err != nil && s.Replicas[i].NotReady == "":
			s.warn("replica %s does not answer: %v", s.Replicas[i].Name, err)
		}
	}
}

func (s *serviceStatus) warn(format string, args ...any) {
	s.Warnings = append(s.Warnings, fmt.Sprintf(format, args...))
}

// expiryNotice is how long before its end a certificate is worth a warning. The service renews its own
// well before that.
const expiryNotice = 7 * 24 * time.Hour

// compare adds warnings about what the replicas say, except those that are going.
func (s *serviceStatus) compare() {
	var versions []string
	for i := range s.Replicas {
		r := &s.Replicas[i]
		if r.Terminating {
			continue
		}
		if r.Version != "" && !slices.Contains(versions, r.Version) {
			versions = append(versions, r.Version)
		}
		if !r.Ready {
			s.warn("replica %s is not ready: %s", r.Name, r.whyNotReady(s.Namespace))
		}
		if r.CertificateEnds != nil && r.CertificateEnds.Before(s.now.Add(expiryNotice)) {
			s.warn("the certificate of replica %s ends at %s; renew it, or look into its log to see why it does not", r.Name, r.CertificateEnds.UTC().Format(time.RFC3339))
		}
	}
	if len(versions) > 1 {
		slices.Sort(versions)
		s.warn("the replicas run different versions: %s; this should end with the rollout: kubectl -n %s rollout status deployment/gatehouse",
			strings.Join(versions, ", "), s.Namespace)
	}
}
