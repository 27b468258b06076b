// Command image builds the container image without a container engine. Its bytes depend on the binary, the
// pinned modules and the arguments alone.
//
//	image build -from DIR -name NAME:TAG -version VERSION [-created SECONDS] -out DIR OS/ARCH...
//	image archive -name NAME:TAG -out FILE BINARY
//	image push DIR NAME:TAG...
//	image rootfs DIR
//
// The first reads FROM/OS_ARCH/gatehouse and FROM/OS_ARCH/gatehouse.cdx.json, the SBOM of that binary, and
// writes OUT/image, an OCI layout for all platforms, OUT/image.digest, and for each platform
// OUT/gatehouse-image_OS_ARCH.tar, which container engines load. The second puts any static binary for this
// machine into such an archive. The third sends OUT/image to a registry. The fourth writes the files that
// the image has beside the binary, for the Dockerfile.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"runtime"
	"time"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	err := run(ctx, os.Args[1:])
	stop()
	if err != nil {
		fmt.Fprintln(os.Stderr, "image:", err)
		os.Exit(1) //nolint:forbidigo // the end of the process
	}
}

func run(ctx context.Context, args []string) error {
	if len(args) == 0 {
		args = []string{""}
	}
	switch args[0] {
	case "build":
		return runBuild(args[1:])
	case "archive":
		return runArchive(args[1:])
	case "push":
		return runPush(ctx, args[1:])
	case "rootfs":
		return runRootfs(args[1:])
	}
	return errors.New("usage: image build | archive | push | rootfs; image build -h lists the flags")
}

func runBuild(args []string) error {
	var b build
	var created int64
	flags := flag.NewFlagSet("build", flag.ContinueOnError)
	flags.StringVar(&b.from, "from", "", "folder with the binaries and their SBOMs")
	flags.StringVar(&b.name, "name", "", "name of the image with its tag")
	flags.StringVar(&b.out, "out", "dist", "folder to write to")
	flags.StringVar(&b.version, "version", "dev", "version in the labels")
	flags.Int64Var(&created, "created", 0, "time of the image in seconds since 1970, such as the time of the commit")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if b.from == "" || b.name == "" || flags.NArg() == 0 {
		return errors.New("build: give -from, -name and at least one OS/ARCH")
	}
	b.platforms, b.created = flags.Args(), time.Unix(created, 0).UTC()
	digest, err := b.run()
	if err != nil {
		return fmt.Errorf("build %s: %w", b.name, err)
	}
	fmt.Printf("%s@%s\n", b.name, digest)
	return nil
}

func runArchive(args []string) error {
	flags := flag.NewFlagSet("archive", flag.ContinueOnError)
	name := flags.String("name", "", "name of the image with its tag")
	out := flags.String("out", "", "file to write to")
	if err := flags.Parse(args); err != nil {
		return err
	}
	if *name == "" || *out == "" || flags.NArg() != 1 {
		return errors.New("archive: give -name, -out and one binary")
	}
	raw, err := os.ReadFile(flags.Arg(0))
	if err != nil {
		return err
	}
	img, err := newImage(program{path: flags.Arg(0), raw: raw, arch: runtime.GOARCH})
	if err != nil {
		return err
	}
	return writeArchive(*out, *name, img)
}

func runPush(ctx context.Context, args []string) error {
	if len(args) < 2 {
		return errors.New("push: give the folder of the image and at least one NAME:TAG")
	}
	return push(ctx, args[0], args[1:])
}

func runRootfs(args []string) error {
	if len(args) != 1 {
		return errors.New("rootfs: give the folder to write to")
	}
	return writeFiles(args[0], append(systemFiles(), homeFiles()...))
}
