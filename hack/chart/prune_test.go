package main

import "testing"

// What holds users must survive a tool that prunes what it no longer finds.
func TestNothingIsPruned(t *testing.T) {
	want := map[string]string{
		"helm.sh/resource-policy":           "keep",
		"argocd.argoproj.io/sync-options":   "Prune=false,Delete=false",
		"kustomize.toolkit.fluxcd.io/prune": "disabled",
	}
	checked := 0
	for id, o := range rendered(t, systemNamespace, "--set", "crds.install=true") {
		if kind := kindOf(id); kind != "CustomResourceDefinition" && kind != "Namespace" {
			continue
		}
		checked++
		metadata, _ := o["metadata"].(map[string]any)
		annotations, _ := metadata["annotations"].(map[string]any)
		for key, value := range want {
			if annotations[key] != value {
				t.Errorf("%s: annotation %s is %v, want %s", id, key, annotations[key], value)
			}
		}
	}
	if checked < 5 {
		t.Errorf("checked %d objects, want four CRDs and the namespace of the users", checked)
	}
}
