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

func TestAnAPIServerIsAskedSteadilyUntilItIsBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		begun, last, tries := time.Now(), time.Now(), 0
		const away = time.Hour
		answer, err := retryUntilAnswered(t.Context(), func() (string, error) {
			if pause := time.Since(last); tries > 0 && (pause < retryDelay || pause > 2*retryDelay) {
				t.Errorf("asked again after %v", pause)
			}
			tries, last = tries+1, time.Now()
			if time.Since(begun) < away {
				return "", syscall.ECONNREFUSED
			}
			return "here", nil
		})
		if late := time.Since(begun) - away; answer != "here" || err != nil || late > 2*retryDelay {
			t.Errorf("%q, %v, %v after it was back", answer, err, late)
		}
	})
}

func TestARefusalOfTheAPIServerIsAnAnswer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tries := 0
		_, err := retryUntilAnswered(t.Context(), func() (int, error) {
			tries++
			return 0, apierrors.NewResourceExpired("too old")
		})
		if !apierrors.IsResourceExpired(err) || tries != 1 {
			t.Errorf("%v after %d tries", err, tries)
		}
	})
}

func TestNobodyIsAskedAfterTheEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		begun := time.Now()
		_, err := retryUntilAnswered(ctx, func() (int, error) {
			if ctx.Err() != nil {
				t.Error("asked after the end")
			}
			return 0, syscall.ECONNREFUSED
		})
		if took := time.Since(begun); !errors.Is(err, context.DeadlineExceeded) || took != time.Minute {
			t.Errorf("%v after %v", err, took)
		}
	})
}
