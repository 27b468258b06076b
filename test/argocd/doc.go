// Package argocd tests what gitops-engine, the part of Argo CD that applies, compares, judges and prunes, makes of
// Users on a real API server. It is a module of its own, because gitops-engine needs all of Kubernetes.
package argocd
