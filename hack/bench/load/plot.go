package load

import (
	"fmt"
	"math"
	"strings"
	"time"
)

// The plot's size and margins in pixels.
const (
	plotWidth, plotHeight = 860.0, 360.0
	plotLeft, plotRight   = 70.0, 20.0
	plotTop, plotBottom   = 40.0, 50.0
)

// The times in milliseconds at the two ends of the vertical axis, which is logarithmic.
const lowest, highest = 0.1, 1000.0

// plot draws the median and the 99th percentile of each second, the flood shaded, as SVG.
func (f *flood) plot() string {
	total := f.end + f.begin
	x := func(d time.Duration) float64 {
		return plotLeft + (plotWidth-plotLeft-plotRight)*d.Seconds()/total.Seconds()
	}
	y := func(ms float64) float64 {
		share := math.Log(min(max(ms, lowest), highest)/lowest) / math.Log(highest/lowest)
		return plotHeight - plotBottom - share*(plotHeight-plotTop-plotBottom)
	}
	var b strings.Builder
	fmt.Fprintf(&b, `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %.0f %.0f" font-family="sans-serif" font-size="12">`+"\n", plotWidth, plotHeight)
	fmt.Fprintf(&b, `<rect width="%.0f" height="%.0f" fill="white"/>`+"\n", plotWidth, plotHeight)
	fmt.Fprintf(&b, `<rect x="%.1f" y="%.1f" width="%.1f" height="%.1f" fill="#fbe9d7"/>`+"\n", x(f.begin), plotTop, x(f.end)-x(f.begin), plotHeight-plotTop-plotBottom)
	text := func(px, py float64, anchor, s string) {
		fmt.Fprintf(&b, `<text x="%.1f" y="%.1f" text-anchor="%s">%s</text>`+"\n", px, py, anchor, s)
	}
	text(plotLeft, 20, "start", "authenticate of an opaque token: median and 99th percentile of each second")
	text((x(f.begin)+x(f.end))/2, plotTop+16, "middle", fmt.Sprintf("%d clients guess passwords", guessers))
	for ms := lowest; ms <= highest*1.01; ms *= 10 {
		fmt.Fprintf(&b, `<line x1="%.1f" x2="%.1f" y1="%.1f" y2="%.1f" stroke="#ddd"/>`+"\n", plotLeft, plotWidth-plotRight, y(ms), y(ms))
		text(plotLeft-8, y(ms)+4, "end", fmt.Sprintf("%g ms", ms))
	}
	step := max(time.Second, (total / 8).Round(5*time.Second))
	for label := time.Duration(0); label <= total; label += step {
		text(x(label), plotHeight-plotBottom+18, "middle", fmt.Sprintf("%.0f s", label.Seconds()))
	}
	for _, line := range []struct {
		p            float64
		color, label string
	}{{.5, "#1b6ca8", "p50"}, {.99, "#c0392b", "p99"}} {
		var points []string
		var last float64
		for from := time.Second; from < total; from += time.Second { // the first second opens connections
			if took, n := f.percentile(line.p, from, from+time.Second); n > 0 {
				last = y(float64(took) / float64(time.Millisecond))
				points = append(points, fmt.Sprintf("%.1f,%.1f", x(from+time.Second/2), last))
			}
		}
		fmt.Fprintf(&b, `<polyline points="%s" fill="none" stroke="%s" stroke-width="1.5"/>`+"\n", strings.Join(points, " "), line.color)
		fmt.Fprintf(&b, `<text x="%.1f" y="%.1f" text-anchor="end" fill="%s">%s</text>`+"\n", plotWidth-plotRight, last-6, line.color, line.label)
	}
	b.WriteString("</svg>\n")
	return b.String()
}
