import { renderHtml } from '@certfleet/emulator/fleet'
import t from 'tap'
import { chromiumMissing, opened } from './chromium.ts'
import { pixelsNear } from './png.ts'
import { emptyReport, hostileReport, loadReport } from './sample.ts'

const skip = chromiumMissing

const drawn = (dom: string): string[] =>
  [...dom.matchAll(/data-plot="(\w+)"[^>]*data-drawn="(\d)"/g)].map(([, plot, series]) => `${plot} ${series}`)
const everyPlot = ['latency 3', 'arrivals 2', 'completions 3', 'errors 1', 'connected 1']
const strokes = {
  p99: [0xb4, 0x53, 0x09],
  enrolled: [0x0b, 0x7a, 0x4b],
  started: [0x1d, 0x5f, 0xd1],
  connected: [0x6d, 0x3b, 0xd1],
} as const
const png = '--screenshot=page.png'

t.test('Chromium draws every plot, refuses nothing, and prints it on A4', { skip }, async (t) => {
  const seen = await opened(t, renderHtml(loadReport()), '--window-size=1280,2000', png, '--print-to-pdf=page.pdf')
  t.strictSame(seen.told, [], 'nothing on the console')
  t.strictSame(drawn(seen.dom), everyPlot)
  const pixels = pixelsNear(seen.read('page.png'), Object.values(strokes))
  for (const [i, series] of Object.keys(strokes).entries()) t.ok((pixels[i] ?? 0) > 200, `${series} is to be seen`)
  const pdf = seen.read('page.pdf').toString('latin1')
  t.match(pdf, /\/Type \/Pages\s*\/Count 5\b/, 'five pages')
  t.match(pdf, /\/MediaBox \[0 0 59[45][.\d]* 84[12][.\d]*\]/, 'of A4')
})

t.test('Chromium runs nothing that came from outside, at as many bins as there can be, dark and narrow', { skip }, async (t) => {
  const dark = '--blink-settings=preferredColorScheme=0'
  const seen = await opened(t, renderHtml(hostileReport()), '--window-size=500,2000', png, dark)
  t.strictSame(seen.told, [])
  t.notMatch(seen.dom, /<html[^>]*data-hit/)
  t.strictSame(drawn(seen.dom), everyPlot)
  t.ok((pixelsNear(seen.read('page.png'), [[0x10, 0x15, 0x1c]], 0)[0] ?? 0) > 1000, 'the page is dark')
})

t.test('Chromium shows a run of nothing', { skip }, async (t) => {
  const { dom, told } = await opened(t, renderHtml(emptyReport))
  t.strictSame(told, [])
  t.strictSame(drawn(dom), [])
  t.match(dom, 'The run ended before anything could be plotted.')
})

t.test('and would tell of a script that is not the one of the page, which it does not run', { skip }, async (t) => {
  const added = '<script>document.documentElement.dataset.hit=1</script></body>'
  const changed = renderHtml(loadReport(2)).replace('const data =', 'const  data =').replace('</body>', added)
  const { dom, told } = await opened(t, changed)
  t.equal(told.filter((line) => /Content Security Policy/.test(line)).length, 2, told.join('\n'))
  t.notMatch(dom, /<html[^>]*data-hit/)
  t.strictSame(drawn(dom), [])
})
