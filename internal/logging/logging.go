// Package logging makes the logger of the process, which writes its lines in batches.
package logging

import (
	"fmt"
	"io"
	"log/slog"
)

// New returns a logger that writes to out, and the Writer that it uses; call its Close before the
// process ends. format is json or text. level is the lowest level to log, as slog names it. Any other
// format or level is an error.
func New(out io.Writer, format, level string) (*slog.Logger, *Writer, error) {
	options := &slog.HandlerOptions{}
	var least slog.Level
	if err := least.UnmarshalText([]byte(level)); err != nil {
		return nil, nil, fmt.Errorf("log level %q is not one of debug, info, warn, error", level)
	}
	options.Level = least
	writer := NewWriter(out)
	var handler slog.Handler
	switch format {
	case "json":
		handler = slog.NewJSONHandler(writer, options)
	case "text":
		handler = slog.NewTextHandler(writer, options)
	default:
		return nil, nil, fmt.Errorf("log format %q is neither json nor text", format)
	}
	log := slog.New(handler)
	writer.reportLost = func(writes int) { log.Error("lost log lines, because the log could not be written", "lines", writes) }
	return log, writer, nil
}
