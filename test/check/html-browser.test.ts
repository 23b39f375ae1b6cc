import { createHash } from 'node:crypto'
import t, { type Test } from 'tap'
import { checkReportHtml } from '#emulator/check/html/index.ts'
import { chromiumMissing, openedBeside } from '../report/chromium.ts'
import { pixelsNear } from '../report/png.ts'
import { hostileReport, sampleReport } from './report-sample.ts'

const skip = chromiumMissing

/** Runs in the page: looks at what a person would, then uses the filter and a link. */
const probe = `addEventListener('load', async () => {
  const seen = (selector) => [...document.querySelectorAll(selector)].filter((element) => element.checkVisibility()).length
  const within = (selector) => seen('[aria-labelledby=findings] ' + selector)
  const luminance = (colour) => {
    const [r, g, b] = colour.match(/[\\d.]+/g).map((part) => (part / 255 <= 0.04045 ? part / 255 / 12.92 : ((part / 255 + 0.055) / 1.055) ** 2.4))
    return 0.2126 * r + 0.7152 * g + 0.0722 * b
  }
  const backgroundOf = (element) => {
    for (let one = element; one; one = one.parentElement) {
      const { backgroundColor } = getComputedStyle(one)
      if (!/, 0\\)$/.test(backgroundColor)) return backgroundColor
    }
    return 'rgb(255, 255, 255)'
  }
  const contrastOf = (element) => {
    const [one, other] = [luminance(getComputedStyle(element).color), luminance(backgroundOf(element))].sort((a, b) => b - a)
    return (one + 0.05) / (other + 0.05)
  }
  const texts = [...document.body.querySelectorAll('*')].filter((element) => !element.closest('script, svg, .unseen') && [...element.childNodes].some((node) => node.nodeType === 3 && node.data.trim() !== ''))
  const links = [...document.querySelectorAll('a')]
  const found = {
    width: innerWidth,
    overflow: document.documentElement.scrollWidth - innerWidth,
    hit: document.documentElement.dataset.hit ?? 'nothing',
    fetched: performance.getEntriesByType('resource').length,
    deadLinks: links.filter((link) => !document.getElementById(link.hash.slice(1))).length,
    links: links.length,
    faint: [...new Set(texts.filter((element) => contrastOf(element) < 4.5).map((element) => element.tagName + '.' + element.className))],
    before: [seen('.matrix tr[data-worst]'), within('.entry'), seen('section.profile')],
  }
  const set = async (name, value) => {
    const field = document.querySelector('#filter [name=' + name + ']')
    field.value = value
    field.dispatchEvent(new Event('input', { bubbles: true }))
    await new Promise((resolve) => setTimeout(resolve, 300))
    return [seen('.matrix tr[data-worst]'), within('.entry'), seen('section.profile')]
  }
  found.ios = await set('platform', 'ios')
  found.iosErrors = await set('severity', 'error')
  found.word = await set('text', 'nowhere to be found')
  found.told = document.querySelector('#filter [role=status]').textContent
  const hidden = links.find((link) => document.getElementById(link.hash.slice(1))?.matches('section.profile[hidden]'))
  hidden?.click()
  await new Promise((resolve) => setTimeout(resolve, 100))
  found.led = hidden ? document.getElementById(hidden.hash.slice(1)).checkVisibility() : null
  await set('text', '')
  await set('severity', '')
  found.after = await set('platform', '')
  parent.postMessage(found, '*')
})`

/** The page with the probe let in by its policy, in a frame of that width: a window cannot be so narrow. */
async function probed(t: Test, html: string, width: number, ...switches: readonly string[]) {
  const hash = createHash('sha256').update(probe).digest('base64')
  const page = html.replace('script-src ', `script-src 'sha256-${hash}' `).replace('</body>', `<script>${probe}</script></body>`)
  const frame = `<!doctype html><style>body{margin:0}</style><script>addEventListener('message', ({ data }) => { document.documentElement.dataset.found = encodeURIComponent(JSON.stringify(data)) })</script><iframe src="page.html" style="border:0" width="${width}" height="2400"></iframe></html>`
  const seen = await openedBeside(
    t,
    { 'page.html': page },
    frame,
    '--virtual-time-budget=8000',
    `--window-size=${Math.max(500, width)},2400`,
    ...switches,
  )
  const found = /data-found="([^"]*)"/.exec(seen.dom)?.[1]
  return { ...seen, found: found === undefined ? undefined : JSON.parse(decodeURIComponent(found)) }
}

for (const width of [1280, 400]) {
  t.test(`Chromium shows it at ${width} pixels, with nothing beyond its edge, and its filter and links work`, { skip }, async (t) => {
    const { told, found } = await probed(t, checkReportHtml(sampleReport()), width)
    t.strictSame(told, [], 'nothing on the console')
    t.match(found, {
      ...{ width, overflow: 0, fetched: 0, deadLinks: 0, faint: [] },
      ...{ before: [12, 9, 12], ios: [3, 2, 3], iosErrors: [1, 1, 1], word: [0, 0, 1], after: [12, 9, 12] },
      ...{ told: '0 of 12 profiles, 0 of 9 findings', led: true },
    })
    t.ok(found?.links > 50)
  })
}

t.test('Chromium runs nothing that came from outside, and what is long stays within the page', { skip }, async (t) => {
  const { told, found } = await probed(t, checkReportHtml(hostileReport()), 400)
  t.strictSame(told, [])
  t.match(found, { hit: 'nothing', overflow: 0, fetched: 0, deadLinks: 0 })
})

t.test('Chromium prints it on A4, a page at least for each profile, what is folded too', { skip }, async (t) => {
  const seen = await openedBeside(
    t,
    {},
    checkReportHtml(sampleReport()),
    '--print-to-pdf=page.pdf',
    '--screenshot=page.png',
    '--window-size=1280,2400',
  )
  t.strictSame(seen.told, [])
  const pdf = seen.read('page.pdf').toString('latin1')
  t.match(pdf, /\/MediaBox \[0 0 59[45][.\d]* 84[12][.\d]*\]/)
  const pages = pdf.match(/\/Type \/Page\b/g)?.length ?? 0
  t.ok(pages > 12 && pages < 30, `${pages} pages`)
  const bars = pixelsNear(seen.read('page.png'), [
    [0xc8, 0x37, 0x2b],
    [0xe2, 0xa2, 0x1a],
    [0x2f, 0x9e, 0x6b],
  ])
  for (const pixels of bars) t.ok(pixels > 1000, 'each kind of bar is to be seen')
})
