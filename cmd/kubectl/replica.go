package kubectl

import (
	"context"
	"encoding/json"
	"errors"
	"strconv"
	"strings"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/client-go/rest"
)

const (
	// probesPort is the name of the port of the probes, and defaultProbesPort its number if a Pod does
	// not name it.
	probesPort        = "probes"
	defaultProbesPort = 8081
	// askTimeout limits how long one replica may take to answer.
	askTimeout = 5 * time.Second
)

// replica is one Pod of the service.
type replica struct {
	Name        string    `json:"name"`
	Ready       bool      `json:"ready"`
	Terminating bool      `json:"terminating,omitempty"` // its Pod is being deleted, such as by a rollout
	Image       string    `json:"image"`
	Restarts    int32     `json:"restarts"`
	Created     time.Time `json:"created"`
	answer
}

// answer is what the replica itself says. It is empty if the replica does not answer.
type answer struct {
	Version         string     `json:"version,omitempty"`
	NotReady        string     `json:"notReady,omitempty"` // why not
	LastUpdate      *time.Time `json:"lastUpdate,omitempty"`
	CertificateEnds *time.Time `json:"certificateEnds,omitempty"`
}

// newReplica returns what a Pod says about itself.
func newReplica(pod *corev1.Pod) replica {
	r := replica{
		Name: pod.Name, Created: pod.CreationTimestamp.Time, Image: pod.Spec.Containers[0].Image, Terminating: pod.DeletionTimestamp != nil,
	}
	for _, c := range pod.Status.Conditions {
		if c.Type == corev1.PodReady {
			r.Ready = c.Status == corev1.ConditionTrue
		}
	}
	for i := range pod.Status.ContainerStatuses {
		c := &pod.Status.ContainerStatuses[i]
		r.Restarts += c.RestartCount
		if c.State.Waiting != nil {
			r.NotReady = strings.TrimSuffix(c.State.Waiting.Reason+": "+c.State.Waiting.Message, ": ")
		}
	}
	return r
}

// whyNotReady says why Kubernetes does not count a replica as ready, and what to look at.
func (r *replica) whyNotReady(namespace string) string {
	switch {
	case r.NotReady != "":
		return r.NotReady
	case r.Version != "":
		return "it says that it can serve, but Kubernetes does not count its Pod as ready, such as when the node was out of touch " +
			"with the API server; if this lasts, see kubectl get nodes, and kubectl -n " + namespace + " describe pod " + r.Name
	}
	return "its readiness probe fails; see kubectl -n " + namespace + " describe pod " + r.Name
}

// portOf returns the number of the port on which a Pod serves its probes.
func portOf(pod *corev1.Pod) string {
	for i := range pod.Spec.Containers {
		for _, port := range pod.Spec.Containers[i].Ports {
			if port.Name == probesPort {
				return strconv.Itoa(int(port.ContainerPort))
			}
		}
	}
	return strconv.Itoa(defaultProbesPort)
}

// ask asks a replica for its status through the API server.
func (r *replica) ask(ctx context.Context, c rest.Interface, namespace, port string) error {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	result := c.Get().Namespace(namespace).Resource("pods").Name("http:" + r.Name + ":" + port).SubResource("proxy").Suffix("statusz").Do(ctx)
	if err := result.Error(); err != nil { // which, unlike that of Raw, has the words of the API server
		return err
	}
	raw, err := result.Raw()
	if err != nil {
		return err
	}
	if err := json.Unmarshal(raw, &r.answer); err != nil {
		return errors.New("its answer is not the status of a replica")
	}
	return nil
}
