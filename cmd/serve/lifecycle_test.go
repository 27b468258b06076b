package serve

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

func TestAManagerThatDoesNotEndIsGivenUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		begun, end := time.Now(), make(chan struct{})
		err := endWithin(ctx, time.Minute, func(context.Context) error { <-end; return nil })
		if took := time.Since(begun); err == nil || took != time.Hour+time.Minute {
			t.Errorf("%v after %v", err, took)
		}
		close(end)
	})
}

func TestTheEndOfAManagerIsThatOfTheService(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		broken := errors.New("broken")
		if err := endWithin(t.Context(), time.Minute, func(context.Context) error { return broken }); !errors.Is(err, broken) {
			t.Errorf("by itself: %v", err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), time.Hour)
		defer cancel()
		err := endWithin(ctx, time.Minute, func(ctx context.Context) error { <-ctx.Done(); time.Sleep(time.Second); return nil })
		if err != nil {
			t.Errorf("when it is told to: %v", err)
		}
	})
}
