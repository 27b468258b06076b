package scale

import (
	"fmt"
	"math"
	"strings"
)

// The sizes of the drawing, in pixels.
const (
	panelWidth  = 300.0
	panelHeight = 200.0
	marginX     = 70.0
	marginY     = 44.0
	step        = panelWidth + 2*marginX - 40
)

// panel is one diagram: a figure by the number of users, with its limit.
type panel struct {
	title, unit string
	figure      func(row) float64
	limit       float64
	x           float64 // of its left edge
}

// plot returns an SVG of time until ready and memory by the number of users, with one line for each of
// the two layouts without Tenants.
func plot(rows []row) string {
	panels := []panel{
		{"Time until ready", "s", func(r row) float64 { return r.Ready }, limitReady, marginX},
		{"Resident memory", "MiB", func(r row) float64 { return float64(max(r.ReadyKiB, r.IdleKiB)) / 1024 }, limitKiB * limitUsers / 1024, marginX + step},
	}
	var b strings.Builder
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" width="%.0f" height="%.0f" font-family="sans-serif" font-size="12">`+"\n",
		2*step+20, panelHeight+2*marginY+30)
	b.WriteString(`<rect width="100%" height="100%" fill="white"/>` + "\n")
	for _, p := range panels {
		p.draw(&b, rows)
	}
	legend(&b)
	b.WriteString("</svg>\n")
	return b.String()
}

func (p panel) draw(b *strings.Builder, rows []row) {
	most, fewest, top := 0.0, math.Inf(1), p.limit
	for _, r := range rows {
		most, fewest, top = max(most, float64(r.Users)), min(fewest, float64(r.Users)), max(top, p.figure(r))
	}
	top *= 1.1
	y := func(v float64) float64 { return marginY + panelHeight*(1-v/top) }
	x := func(users float64) float64 {
		if most == fewest {
			return p.x + panelWidth/2
		}
		return p.x + panelWidth*math.Log(users/fewest)/math.Log(most/fewest)
	}
	fmt.Fprintf(b, `<text x="%.1f" y="%.1f" font-weight="bold">%s, %s</text>`+"\n", p.x, marginY-16, p.title, p.unit)
	fmt.Fprintf(b, `<path d="M%.1f %.1fV%.1fH%.1f" fill="none" stroke="black"/>`+"\n", p.x, marginY, y(0), p.x+panelWidth)
	for _, v := range ticks(top) {
		fmt.Fprintf(b, `<text x="%.1f" y="%.1f" text-anchor="end">%g</text>`+"\n", p.x-6, y(v)+4, v)
		fmt.Fprintf(b, `<path d="M%.1f %.1fh%.1f" stroke="#ddd"/>`+"\n", p.x, y(v), panelWidth)
	}
	fmt.Fprintf(b, `<path d="M%.1f %.1fh%.1f" stroke="#c00" stroke-dasharray="6 4"/>`+"\n", p.x, y(p.limit), panelWidth)
	fmt.Fprintf(b, `<text x="%.1f" y="%.1f" fill="#c00">limit at 100,000</text>`+"\n", p.x+6, y(p.limit)-5)
	for _, l := range []layout{each, shared} {
		p.line(b, l, rows, x, y)
	}
}

// line joins the points of one layout and names the numbers of users below them.
func (p panel) line(b *strings.Builder, l layout, rows []row, x, y func(float64) float64) {
	var points []string
	for _, r := range rows {
		if r.Layout != l {
			continue
		}
		px, py := x(float64(r.Users)), y(p.figure(r))
		points = append(points, fmt.Sprintf("%.1f,%.1f", px, py))
		fmt.Fprintf(b, `<circle cx="%.1f" cy="%.1f" r="3.5" fill="%s"/>`+"\n", px, py, colour(l))
		fmt.Fprintf(b, `<text x="%.1f" y="%.1f" text-anchor="middle">%d</text>`+"\n", px, y(0)+16, r.Users)
	}
	fmt.Fprintf(b, `<polyline points="%s" fill="none" stroke="%s" stroke-width="2"/>`+"\n", strings.Join(points, " "), colour(l))
}

func legend(b *strings.Builder) {
	for i, l := range []layout{each, shared} {
		name := map[layout]string{each: "one Secret for each user", shared: "500 users in one Secret"}[l]
		x, y := marginX+float64(i)*220, panelHeight+2*marginY+12
		fmt.Fprintf(b, `<circle cx="%.1f" cy="%.1f" r="4" fill="%s"/><text x="%.1f" y="%.1f">%s</text>`+"\n", x, y-4, colour(l), x+10, y, name)
	}
}

func colour(l layout) string { return map[layout]string{each: "#0a58ca", shared: "#e07b00"}[l] }

// ticks returns four round numbers up to top, or a few more.
func ticks(top float64) []float64 {
	unit := math.Pow(10, math.Floor(math.Log10(top)))
	for _, part := range []float64{0.1, 0.2, 0.25, 0.5, 1} {
		if top/(unit*part) <= 7 {
			unit *= part
			break
		}
	}
	var out []float64
	for i := 0.0; i*unit <= top; i++ {
		out = append(out, i*unit)
	}
	return out
}
