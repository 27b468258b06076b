// Package v2beta2 stands in for the package of k8s.io/api that Kubernetes 1.37 removed and gitops-engine
// still imports. It has what gitops-engine reads of a HorizontalPodAutoscaler to judge its health, which no test
// of Gatehouse has.
package v2beta2

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// SchemeGroupVersion is the version that API servers served until Kubernetes 1.26.
var SchemeGroupVersion = schema.GroupVersion{Group: "autoscaling", Version: "v2beta2"} //nolint:gochecknoglobals // gitops-engine compares with it

// HorizontalPodAutoscaler has only a status.
type HorizontalPodAutoscaler struct {
	Status HorizontalPodAutoscalerStatus `json:"status"`
}

// HorizontalPodAutoscalerStatus has only the conditions.
type HorizontalPodAutoscalerStatus struct {
	Conditions []metav1.Condition `json:"conditions"`
}
