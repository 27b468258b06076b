package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"regexp"
	"strconv"
	"strings"
	"unicode"
)

var (
	markdownLink = regexp.MustCompile(`\]\(([^()\s]+)\)`)
	heading      = regexp.MustCompile(`^#{1,6} +(.*)$`)
	codeSpan     = regexp.MustCompile("`[^`]*`")
	linkText     = regexp.MustCompile(`\[([^\]]*)\]\([^)]*\)`)
)

// markdown is what a Markdown file has outside of its blocks of code.
type markdown struct {
	anchors map[string]bool
	links   []string
}

// checkRepository returns an error for each link between files of the repository that leads nowhere, as
// GitHub would show it.
func checkRepository(repository string) error {
	root, err := os.OpenRoot(repository)
	if err != nil {
		return err
	}
	defer root.Close()
	files, err := readMarkdown(root.FS())
	if err != nil {
		return err
	}
	var faults []error
	for name, file := range files {
		for _, link := range file.links {
			if err := checkFileLink(root.FS(), files, name, link); err != nil {
				faults = append(faults, fmt.Errorf("%s: %s: %w", name, link, err))
			}
		}
	}
	return errors.Join(faults...)
}

func readMarkdown(repository fs.FS) (map[string]markdown, error) {
	files := map[string]markdown{}
	err := fs.WalkDir(repository, ".", func(name string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir() && (strings.HasPrefix(entry.Name(), ".") && name != "." && name != ".github" || entry.Name() == "node_modules" || name == "dist" || name == "bin"):
			return fs.SkipDir
		case path.Ext(name) != ".md":
			return nil
		}
		text, err := fs.ReadFile(repository, name)
		files[name] = parseMarkdown(string(text))
		return err
	})
	return files, err
}

func parseMarkdown(text string) markdown {
	m := markdown{anchors: map[string]bool{}}
	code, repeated := false, map[string]int{}
	for line := range strings.Lines(text) {
		if strings.HasPrefix(strings.TrimSpace(line), "```") {
			code = !code
		}
		if code {
			continue
		}
		if title := heading.FindStringSubmatch(strings.TrimRight(line, "\n")); title != nil {
			anchor := slug(title[1])
			if n := repeated[anchor]; n > 0 {
				m.anchors[anchor+"-"+strconv.Itoa(n)] = true
			}
			repeated[anchor]++
			m.anchors[anchor] = true
		}
		for _, link := range markdownLink.FindAllStringSubmatch(codeSpan.ReplaceAllString(line, "code"), -1) {
			m.links = append(m.links, link[1])
		}
	}
	return m
}

// slug returns the anchor that GitHub gives to a heading.
func slug(title string) string {
	title = linkText.ReplaceAllString(title, "$1")
	return strings.Map(func(r rune) rune {
		switch {
		case r == ' ':
			return '-'
		case unicode.IsLetter(r), unicode.IsDigit(r), r == '-', r == '_':
			return unicode.ToLower(r)
		}
		return -1
	}, strings.TrimSpace(title))
}

func checkFileLink(repository fs.FS, files map[string]markdown, from, link string) error {
	to, fragment, internal, err := resolve(from, link)
	if err != nil || !internal {
		return err
	}
	if to == ".." || strings.HasPrefix(to, "../") { // to a page of the project that is not a file
		return nil
	}
	if _, err := fs.Stat(repository, to); err != nil {
		return err
	}
	if file, ok := files[to]; ok && fragment != "" && !file.anchors[fragment] {
		return errors.New("the file has no such section")
	}
	return nil
}
