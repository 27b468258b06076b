package informer

import (
	"context"
	"errors"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
)

func TestRetryUntilAnswered(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		started, last, attempts := time.Now(), time.Now(), 0
		const outage = time.Hour
		answer, err := retryUntilAnswered(t.Context(), func() (string, error) {
			if pause := time.Since(last); attempts > 0 && (pause < retryDelay || pause > 2*retryDelay) {
				t.Errorf("retried after %v", pause)
			}
			attempts, last = attempts+1, time.Now()
			if time.Since(started) < outage {
				return "", syscall.ECONNREFUSED
			}
			return "here", nil
		})
		if late := time.Since(started) - outage; answer != "here" || err != nil || late > 2*retryDelay {
			t.Errorf("got %q and error %v, %v after the API server was back", answer, err, late)
		}
	})
}

func TestErrorResponseEndsRetries(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		attempts := 0
		_, err := retryUntilAnswered(t.Context(), func() (int, error) {
			attempts++
			return 0, apierrors.NewResourceExpired("too old")
		})
		if !apierrors.IsResourceExpired(err) || attempts != 1 {
			t.Errorf("got error %v after %d attempts", err, attempts)
		}
	})
}

func TestContextEndsRetries(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		started := time.Now()
		_, err := retryUntilAnswered(ctx, func() (int, error) {
			if ctx.Err() != nil {
				t.Error("called after the context ended")
			}
			return 0, syscall.ECONNREFUSED
		})
		if took := time.Since(started); !errors.Is(err, context.DeadlineExceeded) || took != time.Minute {
			t.Errorf("got error %v after %v", err, took)
		}
	})
}
