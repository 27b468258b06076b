package serve

import (
	"errors"
	"fmt"
	"os"
	"os/signal"
	"syscall"

	"github.com/gatehouse-auth/gatehouse/internal/audit"
	"github.com/gatehouse-auth/gatehouse/internal/logging"
)

// auditLogName is the name of the audit log in the response of /readyz.
const auditLogName = "the audit log"

// openAuditLog opens the file of --audit-log, to which audit events go beside the log.
func (a *App) openAuditLog() error {
	if a.options.AuditLog == "" {
		return nil
	}
	file, err := logging.OpenFile(a.options.AuditLog)
	if err != nil {
		return fmt.Errorf("--audit-log: %w", err)
	}
	log, writer, err := logging.New(file, "json", a.options.LogLevel)
	if err != nil {
		return errors.Join(err, file.Close())
	}
	a.auditFile, a.logs[auditLogName] = file, writer
	a.audit = audit.NewLog(a.log, log)
	return nil
}

// reopenAuditLog reopens the file of --audit-log on SIGHUP, until the returned function is called.
func (a *App) reopenAuditLog() (stop func()) {
	if a.auditFile == nil {
		return func() {}
	}
	hangUps := make(chan os.Signal, 1)
	signal.Notify(hangUps, syscall.SIGHUP)
	go func() {
		for range hangUps {
			if err := a.auditFile.Reopen(); err != nil {
				a.log.Error("cannot reopen the audit log; will retry", "error", err)
			}
		}
	}()
	return func() { signal.Stop(hangUps); close(hangUps) }
}

// closeAuditLog writes what is pending for the file of --audit-log and closes it.
func (a *App) closeAuditLog() {
	if a.auditFile == nil {
		return
	}
	if err := errors.Join(a.logs[auditLogName].Close(), a.auditFile.Close()); err != nil {
		a.log.Error("cannot write the end of the audit log", "error", err)
	}
}

// checkLogs returns an error while a log is blocked or cannot be written.
func (a *App) checkLogs() error {
	for name, log := range a.logs {
		if err := log.Err(); err != nil {
			return fmt.Errorf("cannot write %s: %w", name, err)
		}
	}
	return nil
}
