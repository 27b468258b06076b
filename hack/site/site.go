package main

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/net/html"
)

const (
	maximumPage   = 200 << 10 // bytes
	maximumClicks = 3         // from the start page
	repositoryURL = "https://github.com/gatehouse-auth/gatehouse/blob/main/"
)

// page is what a built page has.
type page struct {
	size  int
	ids   map[string]bool
	links []string // of hyperlinks, images, scripts and styles
	bare  int      // images without a text that stands for them
}

// checkSite returns what is wrong with the pages below a folder: links within the site and to files of
// the repository that lead nowhere, pages that are too large or too far from the start page, and images
// without a description.
func checkSite(repository, folder string) error {
	pages, err := readPages(os.DirFS(folder))
	if err != nil {
		return err
	}
	var faults []error
	for _, name := range slices.Sorted(maps.Keys(pages)) {
		p := pages[name]
		if p.size > maximumPage {
			faults = append(faults, fmt.Errorf("%s has %d KiB, more than %d", name, p.size>>10, maximumPage>>10))
		}
		if p.bare > 0 {
			faults = append(faults, fmt.Errorf("%s: %d images have no description", name, p.bare))
		}
		for _, link := range p.links {
			if err := (targets{repository, folder, pages}).checkLink(name, link); err != nil {
				faults = append(faults, fmt.Errorf("%s: %s: %w", name, link, err))
			}
		}
	}
	return errors.Join(append(faults, checkClicks(pages))...)
}

func readPages(site fs.FS) (map[string]*page, error) {
	pages := map[string]*page{}
	err := fs.WalkDir(site, ".", func(name string, _ fs.DirEntry, err error) error {
		if err != nil || path.Ext(name) != ".html" {
			return err
		}
		text, err := fs.ReadFile(site, name)
		if err != nil {
			return err
		}
		pages[name], err = parsePage(string(text))
		return err
	})
	if err == nil && pages["index.html"] == nil {
		err = errors.New("the site has no index.html")
	}
	return pages, err
}

func parsePage(text string) (*page, error) {
	root, err := html.Parse(strings.NewReader(text))
	if err != nil {
		return nil, err
	}
	p := &page{size: len(text), ids: map[string]bool{}}
	for n := range root.Descendants() {
		described := false
		for _, a := range n.Attr {
			switch a.Key {
			case "id":
				p.ids[a.Val] = true
			case "href", "src":
				p.links = append(p.links, a.Val)
			case "alt":
				described = strings.TrimSpace(a.Val) != ""
			}
		}
		if n.Type == html.ElementNode && n.Data == "img" && !described {
			p.bare++
		}
	}
	return p, nil
}

// targets is what the links of the site may lead to.
type targets struct {
	repository, folder string
	pages              map[string]*page
}

// checkLink returns an error if a link of a page leads nowhere in the site or in the repository.
func (t targets) checkLink(from, link string) error {
	if file, ok := strings.CutPrefix(link, repositoryURL); ok {
		file, _, _ = strings.Cut(file, "#")
		_, err := os.Stat(filepath.Join(t.repository, filepath.FromSlash(file))) //nolint:gosec // of the own pages
		return err
	}
	to, fragment, internal, err := resolve(from, link)
	if err != nil || !internal {
		return err
	}
	if _, err := os.Stat(filepath.Join(t.folder, filepath.FromSlash(to))); err != nil { //nolint:gosec // of the own pages
		return err
	}
	if p := t.pages[to]; fragment != "" && (p == nil || !p.ids[fragment]) {
		return errors.New("the page has no such section")
	}
	return nil
}

// resolve returns the file to which a link of a page leads, and the section. Links to other hosts are
// not internal.
func resolve(from, link string) (to, fragment string, internal bool, err error) {
	u, err := url.Parse(link)
	if err != nil || u.IsAbs() || u.Host != "" {
		return "", "", false, err
	}
	to = from
	if u.Path != "" {
		to = path.Join(path.Dir(from), u.Path)
	}
	return to, u.Fragment, true, nil
}

// checkClicks returns an error for each page that takes more clicks from the start page than
// maximumClicks.
func checkClicks(pages map[string]*page) error {
	clicks := map[string]int{"index.html": 0}
	for queue := []string{"index.html"}; len(queue) > 0; queue = queue[1:] {
		for _, link := range pages[queue[0]].links {
			to, _, internal, err := resolve(queue[0], link)
			if _, seen := clicks[to]; err != nil || !internal || seen || pages[to] == nil {
				continue
			}
			clicks[to] = clicks[queue[0]] + 1
			queue = append(queue, to)
		}
	}
	var faults []error
	for _, name := range slices.Sorted(maps.Keys(pages)) {
		n, reached := clicks[name]
		if path.Base(name) != "index.html" && (!reached || n > maximumClicks) {
			faults = append(faults, fmt.Errorf("%s is not within %d clicks of the start page", name, maximumClicks))
		}
	}
	return errors.Join(faults...)
}
