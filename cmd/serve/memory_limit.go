package serve

import (
	"log/slog"
	"runtime/debug"

	"github.com/KimMachineGun/automemlimit/memlimit"
)

// memoryShare is the share of the container's memory that Go may use before it collects garbage at any cost; the rest is for the
// kernel's buffers and for what the runtime does not count.
const memoryShare = 0.85

// limitMemory sets Go's memory limit from the limit of the cgroup, unless GOMEMLIMIT is set.
func limitMemory(log *slog.Logger) {
	limit, err := memlimit.Set(memlimit.WithRatio(memoryShare), memlimit.WithProvider(memlimit.FromCgroup))
	if err != nil {
		log.Debug("no memory limit found in the cgroup", "error", err)
		return
	}
	log.Debug("memory limit set", "bytes", limit)
}

// The memory that password hashes may take: half of the limit, but enough for the default of
// hash-password, or a fixed amount where there is no limit.
const (
	hashesShare        = 2
	minimumHashMemory  = 32 << 20 // bytes
	unlimitedForHashes = 2 << 30  // bytes
)

// hashMemory returns how many bytes password hashes may take at once. A hash that takes more is never
// computed.
func hashMemory() int64 { return hashMemoryOf(debug.SetMemoryLimit(-1)) }

func hashMemoryOf(limit int64) int64 {
	return min(max(limit/hashesShare, minimumHashMemory), unlimitedForHashes)
}

// The memory that connections may take: a quarter of the limit, at connectionBytes each.
const (
	connectionBytes    = 64 << 10
	connectionsShare   = 4
	minimumConnections = 512
	maximumConnections = 16384
)

// connectionLimit returns how many connections the memory limit of the process leaves room for.
func connectionLimit() int {
	limit := debug.SetMemoryLimit(-1) / connectionsShare / connectionBytes
	return int(min(max(limit, minimumConnections), maximumConnections))
}
