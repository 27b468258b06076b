package argocd

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/argoproj/gitops-engine/pkg/cache"
	"github.com/argoproj/gitops-engine/pkg/diff"
	"github.com/argoproj/gitops-engine/pkg/health"
	enginesync "github.com/argoproj/gitops-engine/pkg/sync"
	"github.com/argoproj/gitops-engine/pkg/sync/common"
	"github.com/argoproj/gitops-engine/pkg/utils/kube"
	"github.com/argoproj/gitops-engine/pkg/utils/tracing"
	"github.com/go-logr/logr"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/gatehouse-auth/gatehouse/test/apitest"
	"github.com/gatehouse-auth/gatehouse/test/apitest/tooltest"
)

func TestMain(m *testing.M) { os.Exit(apitest.Main(m)) }

const (
	// manager is the field manager of Argo CD.
	manager = "argocd-controller"
	// tracking is the annotation by which Argo CD knows the objects of an Application.
	tracking = "argocd.argoproj.io/tracking-id"
)

// options are what people write into an Application.
type options struct {
	ServerSideApply bool // a sync option
	ServerSideDiff  bool // a compare option
}

// argoCD is an Application and the part of Argo CD that looks after it.
type argoCD struct {
	options
	mutex   sync.Mutex
	watched map[string]cache.ClusterCache // by address of the API server
}

func newArgoCD(o options) *argoCD {
	return &argoCD{options: o, watched: map[string]cache.ClusterCache{}}
}

// tracked is what the cache notes about an object.
type tracked struct{ id string }

// watch returns the cache of a cluster, as the application controller has one, which lives as long as the test.
func (a *argoCD) watch(c *tooltest.Cluster) cache.ClusterCache {
	c.Helper()
	a.mutex.Lock()
	defer a.mutex.Unlock()
	if known, ok := a.watched[c.Config.Host]; ok {
		return known
	}
	config := rest.CopyConfig(c.Config)
	config.WarningHandler = rest.NoWarnings{} // it lists everything, also what Kubernetes deprecates
	watched := cache.NewClusterCache(config, cache.SetLogr(logr.Discard()), cache.SetPopulateResourceInfoHandler(
		func(o *unstructured.Unstructured, _ bool) (info any, keep bool) {
			id := o.GetAnnotations()[tracking]
			return tracked{id}, id != ""
		}))
	if err := watched.EnsureSynced(); err != nil {
		c.Fatal(err)
	}
	c.Cleanup(func() {
		watched.Invalidate()
		a.mutex.Lock()
		defer a.mutex.Unlock()
		delete(a.watched, c.Config.Host)
	})
	a.watched[c.Config.Host] = watched
	return watched
}

// sync makes the tracked objects in the cluster those of Git: it applies them and prunes the rest. As the
// application controller does, it starts from what the cluster has become at each step.
func (a *argoCD) sync(c *tooltest.Cluster, git []*unstructured.Unstructured) error {
	watched := a.watch(c)
	started := metav1.Now()
	inBackground := metav1.DeletePropagationBackground // in the foreground, the garbage collector ends it, which the cluster lacks
	phase, message, results := common.OperationRunning, "", []common.ResourceSyncResult(nil)
	ctx, cancel := context.WithTimeout(c.Context(), 2*apitest.Timeout)
	defer cancel()
	ticker := time.NewTicker(50 * time.Millisecond)
	defer ticker.Stop()
	for !phase.Completed() {
		target := inApplication(git)
		live, err := watched.GetManagedLiveObjs(target, isTracked)
		if err != nil {
			return err
		}
		step, cleanup, err := enginesync.NewSyncContext("main", enginesync.Reconcile(target, live, tooltest.UsersNamespace, watched),
			c.Config, c.Config, &kube.KubectlCmd{Log: logr.Discard(), Tracer: tracing.NopTracer{}}, tooltest.UsersNamespace,
			watched.GetOpenAPISchema(), enginesync.WithInitialState(phase, message, results, started),
			enginesync.WithPrune(true), enginesync.WithPrunePropagationPolicy(&inBackground),
			enginesync.WithServerSideApply(a.ServerSideApply), enginesync.WithServerSideApplyManager(manager),
			enginesync.WithHealthOverride(script(c.T)), enginesync.WithLogr(logr.Discard()))
		if err != nil {
			return err
		}
		step.Sync()
		phase, message, results = step.GetState()
		cleanup()
		select {
		case <-ctx.Done():
			return fmt.Errorf("%w: %s", ctx.Err(), message)
		case <-ticker.C:
		}
	}
	if phase.Successful() {
		return nil
	}
	failed := fmt.Errorf("%s: %s", phase, message)
	for _, result := range results {
		failed = errors.Join(failed, fmt.Errorf("%s: %s", result.ResourceKey.String(), result.Message))
	}
	return failed
}

// isTracked reports whether an object belongs to the Application.
func isTracked(r *cache.Resource) bool {
	info, ok := r.Info.(tracked)
	return ok && info.id != ""
}

// inApplication returns copies of objects with the annotation of Argo CD.
func inApplication(git []*unstructured.Unstructured) []*unstructured.Unstructured {
	git = tooltest.Copies(git)
	for _, o := range git {
		annotations := o.GetAnnotations()
		if annotations == nil {
			annotations = map[string]string{}
		}
		annotations[tracking] = fmt.Sprintf("users:%s/%s:%s/%s", o.GroupVersionKind().Group, o.GetKind(), o.GetNamespace(), o.GetName())
		o.SetAnnotations(annotations)
	}
	return git
}

func (a *argoCD) Apply(c *tooltest.Cluster, git []*unstructured.Unstructured) {
	c.Helper()
	if err := a.sync(c, git); err != nil {
		c.Fatal(err)
	}
}

func (a *argoCD) Wait(c *tooltest.Cluster, git []*unstructured.Unstructured, timeout time.Duration) error {
	c.Helper()
	ticker := time.NewTicker(50 * time.Millisecond)
	defer ticker.Stop()
	for end := time.Now().Add(timeout); ; <-ticker.C {
		worst := worstHealth(c, git)
		if worst.Status == health.HealthStatusHealthy {
			return nil
		}
		if time.Now().After(end) {
			return fmt.Errorf("timeout: %s: %s", worst.Status, worst.Message)
		}
	}
}

// worstHealth returns the health of an Application with these objects. An object without a health check is healthy.
func worstHealth(c *tooltest.Cluster, git []*unstructured.Unstructured) health.HealthStatus {
	c.Helper()
	worst := health.HealthStatus{Status: health.HealthStatusHealthy}
	for _, o := range tooltest.Copies(git) {
		err := c.Get(c.Context(), client.ObjectKeyFromObject(o), o)
		if apierrors.IsNotFound(err) {
			return health.HealthStatus{Status: health.HealthStatusMissing, Message: o.GetName()}
		}
		if err != nil {
			c.Fatal(err)
		}
		status, err := health.GetResourceHealth(o, script(c.T))
		if err != nil {
			c.Fatal(err)
		}
		if status != nil && health.IsWorse(worst.Status, status.Status) {
			worst = *status
		}
	}
	return worst
}

// Drift compares with objects in the cluster as the options say: by a dry run of server-side apply, by the library
// that merges as the API server does, or by the last applied configuration.
func (a *argoCD) Drift(c *tooltest.Cluster, git []*unstructured.Unstructured) (drift []string) {
	c.Helper()
	drift, err := a.compare(c, git)
	if err != nil {
		c.Fatal(err)
	}
	return drift
}

func (a *argoCD) compare(c *tooltest.Cluster, git []*unstructured.Unstructured) (drift []string, err error) {
	watched := a.watch(c)
	dryRun, cleanup, err := kube.ManageServerSideDiffDryRuns(c.Config, watched.GetOpenAPISchema(), tracing.NopTracer{}, logr.Discard(), nil)
	if err != nil {
		return nil, err
	}
	defer cleanup()
	for _, o := range inApplication(git) {
		live := o.DeepCopy()
		if err := c.Get(c.Context(), client.ObjectKeyFromObject(o), live); apierrors.IsNotFound(err) {
			live = nil
		} else if err != nil {
			return nil, err
		}
		result, err := diff.Diff(o, live, diff.WithLogr(logr.Discard()), diff.WithManager(manager), diff.WithGVKParser(watched.GetGVKParser()),
			diff.WithStructuredMergeDiff(a.ServerSideApply), diff.WithServerSideDiff(a.ServerSideDiff),
			diff.WithServerSideDryRunner(diff.NewK8sServerSideDryRunner(dryRun)))
		if err != nil {
			return nil, err
		}
		if result.Modified {
			drift = append(drift, o.GetKind()+" "+o.GetName())
		}
	}
	return drift, nil
}

// Prune syncs without the objects.
func (a *argoCD) Prune(c *tooltest.Cluster, gone []*unstructured.Unstructured) {
	c.Helper()
	a.awaitSeen(c, gone)
	a.Apply(c, nil)
	for _, o := range tooltest.Copies(gone) {
		c.Eventually(o.GetKind()+" "+o.GetName()+" is gone", func() bool {
			return apierrors.IsNotFound(c.Get(context.Background(), client.ObjectKeyFromObject(o), o.DeepCopy()))
		})
	}
}

// awaitSeen waits until the cache knows that objects belong to the Application: Argo CD prunes what it has seen.
func (a *argoCD) awaitSeen(c *tooltest.Cluster, objects []*unstructured.Unstructured) {
	c.Helper()
	watched := a.watch(c)
	for _, o := range objects {
		c.Eventually("Argo CD sees "+o.GetKind()+" "+o.GetName(), func() bool {
			seen := watched.FindResources(o.GetNamespace(), isTracked)
			return seen[kube.GetResourceKey(o)] != nil
		})
	}
}

// script returns the health check of config/argocd, which people paste into argocd-cm.
func script(t *testing.T) health.HealthOverride {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join(folder, "health.lua"))
	if err != nil {
		t.Fatal(err)
	}
	return luaHealth(raw)
}
