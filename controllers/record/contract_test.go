package record

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/client"

	authv1alpha1 "github.com/gatehouse-auth/gatehouse/api/v1alpha1"
	"github.com/gatehouse-auth/gatehouse/internal/directory"
	"github.com/gatehouse-auth/gatehouse/internal/grant/granttest"
	"github.com/gatehouse-auth/gatehouse/test/apitest"
)

// TestRecordsContract holds Tokens to the contract of grant.Records, with the generated role on a real API server.
func TestRecordsContract(t *testing.T) {
	t.Parallel()
	granttest.TestRecords(t, func(t testing.TB) granttest.Fixture {
		world := apitest.NewRestricted(t, apitest.UsersRole)
		users := [2]*directory.User{world.AddUser(t), world.AddUser(t)}
		failing := &atomic.Bool{}
		newReplica := func() granttest.Replica {
			d := directory.New()
			for _, u := range users {
				copied := *u
				d.Put(&copied)
			}
			c := &failingClient{Client: apitest.NewClient(t, world.Config, world.RESTMapper()), failing: failing}
			return granttest.Replica{Directory: d, Records: NewTokens(Config{Client: c, Revocations: c, Directory: d, Now: time.Now, Namespace: world.Namespace})}
		}
		return granttest.Fixture{
			Replica: newReplica(), Users: users, Now: time.Now,
			NewReplica: newReplica, SetFailing: failing.Store,
			Stored: func(uid string) (records []directory.Record) {
				var list authv1alpha1.TokenList
				if err := world.List(t.Context(), &list, client.InNamespace(world.Namespace)); err != nil {
					t.Fatal(err)
				}
				for i := range list.Items {
					if r := FromToken(&list.Items[i]); r.UserUID == uid {
						records = append(records, r)
					}
				}
				return records
			},
			TokensRevokedAt: func(u *directory.User) time.Time {
				o := &authv1alpha1.User{}
				if err := world.Get(t.Context(), world.Key(u), o); err != nil {
					t.Fatal(err)
				}
				if o.Status.TokensRevokedAt == nil {
					return time.Time{}
				}
				return o.Status.TokensRevokedAt.Time
			},
		}
	})
}

// failingClient is a client whose calls fail on demand, as those to an API server that is out of reach do.
type failingClient struct {
	client.Client
	failing *atomic.Bool
}

var errOutOfReach = errors.New("the API server is out of reach")

func (c *failingClient) call(do func() error) error {
	if c.failing.Load() {
		return errOutOfReach
	}
	return do()
}

func (c *failingClient) Get(ctx context.Context, key client.ObjectKey, o client.Object, options ...client.GetOption) error {
	return c.call(func() error { return c.Client.Get(ctx, key, o, options...) })
}

func (c *failingClient) List(ctx context.Context, list client.ObjectList, options ...client.ListOption) error {
	return c.call(func() error { return c.Client.List(ctx, list, options...) })
}

func (c *failingClient) Create(ctx context.Context, o client.Object, options ...client.CreateOption) error {
	return c.call(func() error { return c.Client.Create(ctx, o, options...) })
}

func (c *failingClient) Patch(ctx context.Context, o client.Object, patch client.Patch, options ...client.PatchOption) error {
	return c.call(func() error { return c.Client.Patch(ctx, o, patch, options...) })
}

func (c *failingClient) Delete(ctx context.Context, o client.Object, options ...client.DeleteOption) error {
	return c.call(func() error { return c.Client.Delete(ctx, o, options...) })
}
