package projection

import (
	"time"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// SaysTheSame reports whether a condition, which may be nil, says the same of a generation as the next
// one, in whatever words.
func SaysTheSame(before *metav1.Condition, next metav1.Condition, generation int64) bool {
	return before != nil && before.Status == next.Status && before.Reason == next.Reason && before.ObservedGeneration == generation
}

// PutCondition adds or replaces a condition of a generation, or removes it if its status is empty. The
// time of a transition is now, and never moves back.
func PutCondition(all *[]metav1.Condition, c metav1.Condition, generation int64, now time.Time) {
	if c.Status == "" {
		if meta.FindStatusCondition(*all, c.Type) != nil { // or the other function copies all of them for nothing
			meta.RemoveStatusCondition(all, c.Type)
		}
		return
	}
	c.ObservedGeneration, c.LastTransitionTime = generation, metav1.NewTime(now)
	if old := meta.FindStatusCondition(*all, c.Type); old != nil && c.LastTransitionTime.Before(&old.LastTransitionTime) {
		c.LastTransitionTime = old.LastTransitionTime
	}
	meta.SetStatusCondition(all, c)
}
