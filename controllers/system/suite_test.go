package system_test

import (
	"os"
	"testing"

	"github.com/gatehouse-auth/gatehouse/test/apitest"
)

func TestMain(m *testing.M) { os.Exit(apitest.Main(m)) }
