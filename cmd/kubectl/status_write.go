package kubectl

import (
	"context"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io"
	"text/tabwriter"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/duration"
	corev1client "k8s.io/client-go/kubernetes/typed/core/v1"
)

// The ConfigMap that publishes the certificates of the service's own CA, and the key they are under.
const (
	authorityConfigMap = "gatehouse-ca"
	authorityKey       = "ca.crt"
)

// authority is a certificate of the service's own CA.
type authority struct {
	Serial string    `json:"serial"`
	Begins time.Time `json:"begins"`
	Ends   time.Time `json:"ends"`
}

// readAuthority reads the published certificates of the CA. A service with --tls-cert-dir has none.
func (s *serviceStatus) readAuthority(ctx context.Context, c corev1client.ConfigMapInterface) {
	published, err := c.Get(ctx, authorityConfigMap, metav1.GetOptions{})
	switch {
	case apierrors.IsNotFound(err):
		return
	case err != nil:
		s.warn("%v", explain(err))
		return
	}
	for rest := []byte(published.Data[authorityKey]); ; {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			return
		}
		certificate, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			s.warn("ConfigMap %s has a certificate that cannot be read: %v; delete the ConfigMap, and the service publishes it again", authorityConfigMap, err)
			continue
		}
		s.Authority = append(s.Authority, authority{certificate.SerialNumber.Text(16), certificate.NotBefore, certificate.NotAfter})
	}
}

// write writes the status for people.
func (s *serviceStatus) write(w io.Writer) error {
	ready, terminating := 0, 0
	for i := range s.Replicas {
		switch r := &s.Replicas[i]; {
		case r.Terminating:
			terminating++
		case r.Ready:
			ready++
		}
	}
	writeLine(w, "%d of %d replicas in namespace %s are ready.\n", ready, len(s.Replicas)-terminating, s.Namespace)
	table := tabwriter.NewWriter(w, 0, 0, 3, ' ', 0)
	writeLine(table, "REPLICA\tREADY\tVERSION\tLAST UPDATE\tCERTIFICATE ENDS\tRESTARTS\tAGE") // Flush has the error
	for i := range s.Replicas {
		r := &s.Replicas[i]
		writeLine(table, "%s\t%s\t%s\t%s\t%s\t%d\t%s", r.Name, r.readiness(), orDash(r.Version),
			s.ago(r.LastUpdate), inUTC(metaTime(r.CertificateEnds)), r.Restarts, duration.HumanDuration(s.now.Sub(r.Created)))
	}
	if err := table.Flush(); err != nil {
		return err
	}
	for _, a := range s.Authority {
		writeLine(w, "\nThe CA with serial number %s ends %s.", a.Serial, a.Ends.UTC().Format(time.RFC3339))
	}
	return nil
}

// readiness returns the readiness of a replica in a word.
func (r *replica) readiness() string {
	switch {
	case r.Terminating:
		return "terminating"
	case r.Ready:
		return "yes"
	}
	return "no"
}

// ago returns how long ago a time was, in words.
func (s *serviceStatus) ago(at *time.Time) string {
	if at == nil {
		return "-"
	}
	return fmt.Sprintf("%s ago", duration.HumanDuration(s.now.Sub(*at)))
}

func metaTime(t *time.Time) *metav1.Time {
	if t == nil {
		return nil
	}
	return &metav1.Time{Time: *t}
}
