package serve

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

func TestHangingManagerIsAbandoned(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		start, end := time.Now(), make(chan struct{})
		err := startWithGrace(ctx, time.Minute, func(context.Context) error { <-end; return nil })
		if took := time.Since(start); err == nil || took != time.Hour+time.Minute {
			t.Errorf("got error %v after %v, want one after 1h1m", err, took)
		}
		close(end)
	})
}

func TestManagerErrorIsReturned(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		broken := errors.New("broken")
		if err := startWithGrace(t.Context(), time.Minute, func(context.Context) error { return broken }); !errors.Is(err, broken) {
			t.Errorf("a manager that fails: got error %v, want %v", err, broken)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		err := startWithGrace(ctx, time.Minute, func(ctx context.Context) error { <-ctx.Done(); <-time.After(time.Second); return nil })
		if err != nil {
			t.Errorf("a manager that stops within the grace period: %v", err)
		}
	})
}
