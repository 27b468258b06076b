// Package logging makes the logger of the process, which writes its lines in batches.
package logging

import (
	"fmt"
	"io"
	"log/slog"
)

// New returns a logger that writes to out, and a function that writes what is still pending; call
// that before the process ends. format is json or text. level is the lowest level to log, as slog
// names it. Any other format or level is an error.
func New(out io.Writer, format, level string) (log *slog.Logger, flush func(), err error) {
	options := &slog.HandlerOptions{}
	var least slog.Level
	if err := least.UnmarshalText([]byte(level)); err != nil {
		return nil, nil, fmt.Errorf("log level %q is not one of debug, info, warn, error", level)
	}
	options.Level = least
	writer := NewWriter(out)
	switch format {
	case "json":
		return slog.New(slog.NewJSONHandler(writer, options)), writer.Flush, nil
	case "text":
		return slog.New(slog.NewTextHandler(writer, options)), writer.Flush, nil
	default:
		return nil, nil, fmt.Errorf("log format %q is neither json nor text", format)
	}
}
