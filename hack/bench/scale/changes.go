package scale

import (
	"cmp"
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	authv1alpha1 "github.com/gatehouse-auth/gatehouse/api/v1alpha1"
)

const (
	burst        = 1000 // other users that change again and again during the timed changes
	burstWriters = 8
	timers       = 4 // timed changes at once
)

// changes is how long timed changes took, from the request to the API server to the first request that is
// refused.
type changes struct {
	Count           int
	MedianMS, P99MS float64
	BurstPerSecond  float64
}

// measureChanges revokes the first half of the probes and changes the passwords of the second half,
// during a burst of other changes.
func measureChanges(ctx context.Context, c *cluster, d dataset, p *service) (revoked, password changes, err error) {
	headers, err := p.logins(ctx, d)
	if err != nil {
		return changes{}, changes{}, err
	}
	burstCtx, end := context.WithCancel(ctx)
	defer end()
	var made atomic.Int64
	background, _ := errgroup.WithContext(burstCtx)
	background.Go(func() error { return c.burst(burstCtx, d, &made) })

	begun := time.Now()
	took := make([]time.Duration, probes)
	group, groupCtx := errgroup.WithContext(ctx)
	group.SetLimit(timers)
	for i := range probes {
		n := (i%2)*probes/2 + i/2 // the two kinds take turns
		group.Go(func() error {
			var err error
			took[n], err = p.change(groupCtx, c, d, n, headers[n])
			return err
		})
	}
	err = group.Wait()
	rate := float64(made.Load()) / time.Since(begun).Seconds()
	end()
	if err := errors.Join(err, background.Wait()); err != nil {
		return changes{}, changes{}, err
	}
	return summary(took[:probes/2], rate), summary(took[probes/2:], rate), nil
}

// logins returns the credentials of each probe: a JWT where the user will be revoked, the password
// where that will change. It fails unless the service accepts all of them now.
func (p *service) logins(ctx context.Context, d dataset) ([]http.Header, error) {
	headers := make([]http.Header, probes)
	for i := range headers {
		basic := "Basic " + base64.StdEncoding.EncodeToString([]byte(d.login(i)+":"+passwordOf(i)))
		headers[i] = http.Header{"Authorization": {basic}}
		if i < probes/2 {
			token, err := p.token(ctx, basic)
			if err != nil {
				return nil, err
			}
			headers[i] = http.Header{"Authorization": {"Bearer " + token}}
		}
		if status, err := p.verify(ctx, headers[i]); err != nil || status != http.StatusOK {
			return nil, fmt.Errorf("%s cannot log in: %d %w", d.login(i), status, err)
		}
	}
	return headers, nil
}

func (p *service) verify(ctx context.Context, header http.Header) (int, error) {
	return p.ask(ctx, p.base+"/auth/verify", header)
}

func (p *service) token(ctx context.Context, basic string) (string, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, p.base+"/v1/users/authorize", nil)
	if err != nil {
		return "", err
	}
	req.Header.Set("Authorization", basic)
	answer, err := p.http.Do(req)
	if err != nil {
		return "", err
	}
	defer answer.Body.Close()
	var body struct {
		AccessToken string `json:"access_token"`
	}
	if err := json.NewDecoder(answer.Body).Decode(&body); err != nil || body.AccessToken == "" {
		return "", fmt.Errorf("no token: %s %w", answer.Status, err)
	}
	return body.AccessToken, nil
}

// change makes the change of probe i and returns how long it took until the service was asked and refused
// header. The answer itself comes later where a password is refused, because every refusal takes as long as a
// hash.
func (p *service) change(ctx context.Context, c *cluster, d dataset, i int, header http.Header) (time.Duration, error) {
	var object client.Object = &authv1alpha1.User{ObjectMeta: metav1.ObjectMeta{Namespace: d.namespace(i), Name: userName(i)}}
	patch := `{"spec":{"revoked":true}}`
	if i >= probes/2 {
		source := d.source(i)
		object = &corev1.Secret{ObjectMeta: metav1.ObjectMeta{Namespace: d.namespace(i), Name: source.Name}}
		patch = fmt.Sprintf(`{"stringData":{%q:"another password"}}`, source.Key)
	}
	begun := time.Now()
	if err := c.Patch(ctx, object, client.RawPatch(types.MergePatchType, []byte(patch))); err != nil {
		return 0, err
	}
	for {
		asked := time.Now()
		status, err := p.verify(ctx, header)
		if err != nil {
			return 0, err
		}
		if status == http.StatusUnauthorized {
			return asked.Sub(begun), nil
		}
		if status != http.StatusOK || time.Since(begun) > time.Minute {
			return 0, fmt.Errorf("%[3]s after the change of %[1]s the answer is %[2]d", userName(i), status, time.Since(begun))
		}
		select {
		case <-ctx.Done():
			return 0, ctx.Err()
		case <-time.After(time.Millisecond):
		}
	}
}

// burst changes the display names of 1,000 users as fast as the API server accepts it, again and
// again until the context ends. It does not interrupt a request that has begun.
func (c *cluster) burst(ctx context.Context, d dataset, made *atomic.Int64) error {
	others := min(burst, d.users-probes)
	group := errgroup.Group{}
	group.SetLimit(burstWriters)
	for n := 0; ctx.Err() == nil; n++ {
		group.Go(func() error {
			i := probes + n%others
			u := &authv1alpha1.User{ObjectMeta: metav1.ObjectMeta{Namespace: d.namespace(i), Name: userName(i)}}
			patch := fmt.Sprintf(`{"spec":{"displayName":"Change Number %d"}}`, n)
			made.Add(1)
			return c.Patch(context.WithoutCancel(ctx), u, client.RawPatch(types.MergePatchType, []byte(patch)))
		})
	}
	return group.Wait()
}

// summary returns the percentiles of timed changes; rate is that of the burst meanwhile.
func summary(took []time.Duration, rate float64) changes {
	slices.SortFunc(took, cmp.Compare)
	ms := func(q float64) float64 {
		return float64(took[int(q*float64(len(took)-1))].Microseconds()) / 1000
	}
	return changes{Count: len(took), MedianMS: ms(0.5), P99MS: ms(0.99), BurstPerSecond: rate}
}
