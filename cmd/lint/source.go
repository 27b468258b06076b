package lint

import (
	"bytes"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"sigs.k8s.io/yaml"

	authv1alpha1 "github.com/gatehouse-auth/gatehouse/api/v1alpha1"
	"github.com/gatehouse-auth/gatehouse/controllers/standalone/manifest"
)

// maximumFile is the maximum size of one manifest, in bytes.
const maximumFile = 128 << 20

// stdinName stands for standard input as a path, and stdinPath for it in findings.
const (
	stdinName = "-"
	stdinPath = "<stdin>"
)

// source is one manifest before it is read.
type source struct {
	path   string
	text   []byte
	isJSON bool
	named  bool // given as an argument, and not found in a folder

	positions *manifest.Positions // nil until something is found in the manifest
}

// find returns the position of a field of the object at a line.
func (s *source) find(line int, path string) manifest.Position {
	if s.positions == nil {
		s.positions = manifest.NewPositions(s.text, s.isJSON)
	}
	return s.positions.Find(line, path)
}

// kustomization is the part of a kustomization file that makes Secrets.
type kustomization struct {
	SecretGenerator []struct {
		Name string `json:"name"`
	} `json:"secretGenerator"`
}

// sources are all manifests to examine.
type sources struct {
	manifests []source
	generated map[string]bool // names of Secrets that a kustomization generates, in any namespace
}

// load returns the manifests at the paths: files, folders with everything in them, and standard
// input for a dash. An error means that something could not be looked at.
func load(paths []string, stdin io.Reader) (*sources, error) {
	s := &sources{generated: map[string]bool{}}
	for _, path := range paths {
		if err := s.add(path, stdin); err != nil {
			return nil, err
		}
	}
	return s, nil
}

func (s *sources) add(path string, stdin io.Reader) error {
	if path == stdinName {
		return s.read(stdin, source{path: stdinPath, named: true})
	}
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	if !info.IsDir() {
		return s.open(path, true)
	}
	return filepath.WalkDir(path, func(file string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && file != path && strings.HasPrefix(d.Name(), "."):
			return fs.SkipDir
		case d.IsDir():
			return nil
		case isKustomization(d.Name()):
			return s.kustomization(file)
		case manifest.IsManifest(d.Name()):
			return s.open(file, false)
		}
		return nil
	})
}

// open reads one file.
func (s *sources) open(path string, named bool) error {
	f, err := os.Open(path) // #nosec G304 -- the user names the file or its folder
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }() // nothing was written
	return s.read(f, source{path: filepath.ToSlash(path), isJSON: filepath.Ext(path) == ".json", named: named})
}

func (s *sources) read(from io.Reader, to source) error {
	text, err := io.ReadAll(io.LimitReader(from, maximumFile+1))
	if err != nil {
		return fmt.Errorf("%s: %w", to.path, err)
	}
	if len(text) > maximumFile {
		return fmt.Errorf("%s: larger than %d MiB; spread its objects over several files", to.path, maximumFile>>20)
	}
	to.text = text
	s.manifests = append(s.manifests, to)
	return nil
}

// isKustomization reports whether a file of this name belongs to kustomize.
func isKustomization(name string) bool {
	return name == "kustomization.yaml" || name == "kustomization.yml" || name == "Kustomization"
}

// kustomization notes the Secrets that a kustomization file generates. One that cannot be parsed is
// for kustomize to report.
func (s *sources) kustomization(path string) error {
	text, err := os.ReadFile(path) // #nosec G304 -- the user names the folder
	if err != nil {
		return err
	}
	var k kustomization
	if yaml.Unmarshal(text, &k) == nil {
		for _, g := range k.SecretGenerator {
			s.generated[g.Name] = true
		}
	}
	return nil
}

// ours reports whether what is wrong with the file concerns this service: the file was named, or
// mentions its API. A folder may hold templates and manifests of other programs.
func (s *source) ours() bool {
	return s.named || bytes.Contains(s.text, []byte(authv1alpha1.Group))
}

// extras are the facts about objects that the service does not need: annotations for this command,
// and the Secrets that other controllers make.
type extras struct {
	ignored map[manifest.Key]string // value of IgnoreAnnotation
	made    map[manifest.Key]bool   // Secrets that a SealedSecret or an ExternalSecret makes
}

// extraObject is the part of an object that extras needs.
type extraObject struct {
	Kind     string `json:"kind"`
	Metadata struct {
		Name        string            `json:"name"`
		Namespace   string            `json:"namespace"`
		Annotations map[string]string `json:"annotations"`
	} `json:"metadata"`
	Spec struct {
		Target struct {
			Name string `json:"name"`
		} `json:"target"` // of an ExternalSecret
		Template struct {
			Metadata struct {
				Name string `json:"name"`
			} `json:"metadata"`
		} `json:"template"` // of a SealedSecret
	} `json:"spec"`
	Items []extraObject `json:"items"` // of a List
}

// readExtras adds the facts in a manifest. It parses only documents that can have any.
func (e *extras) readExtras(s *source) {
	documents, _ := manifest.Documents(s.text, s.isJSON)
	for _, text := range documents {
		if !bytes.Contains(text, []byte(IgnoreAnnotation)) && !bytes.Contains(text, []byte("SealedSecret")) &&
			!bytes.Contains(text, []byte("ExternalSecret")) {
			continue
		}
		var o extraObject
		if yaml.Unmarshal(text, &o) == nil { // what cannot be parsed is reported elsewhere
			e.add(o)
		}
	}
}

func (e *extras) add(o extraObject) {
	for _, item := range o.Items {
		e.add(item)
	}
	key := manifest.Key{Kind: o.Kind, Namespace: o.Metadata.Namespace, Name: o.Metadata.Name}
	if key.Namespace == "" {
		key.Namespace = manifest.DefaultNamespace
	}
	if value, ok := o.Metadata.Annotations[IgnoreAnnotation]; ok {
		e.ignored[key] = value
	}
	made := ""
	switch o.Kind {
	case "SealedSecret":
		made = o.Spec.Template.Metadata.Name
	case "ExternalSecret":
		made = o.Spec.Target.Name
	default:
		return
	}
	if made == "" {
		made = o.Metadata.Name
	}
	e.made[manifest.Key{Kind: "Secret", Namespace: key.Namespace, Name: made}] = true
}
