import { createHash } from 'node:crypto'
import { renderHtml } from '@certfleet/emulator/fleet'
import t from 'tap'
import { jsonMarkup, markup } from '#emulator/report/html/markup.ts'
import { emptyReport, hostile, hostileReport, loadReport, machinesReport } from './sample.ts'

t.test('markup escapes what is filled in, and nothing else', async (t) => {
  const rows: [string, { html: string }, string][] = [
    ['text', markup`<p>${'<b>&"\''}</p>`, '<p>&#60;b&#62;&#38;&#34;&#39;</p>'],
    ['markup', markup`<p>${markup`<b>${1}</b>`}</p>`, '<p><b>1</b></p>'],
    ['a list', markup`${['<', markup`<i>`]}`, '&#60;<i>'],
    ['nothing', markup`a${undefined}b`, 'ab'],
    ['what would reorder a line', markup`${'a\u202eb\u0000\ud800'}`, 'a\\u{202e}b\\u{0}\\u{d800}'],
    ['JSON within a script', jsonMarkup({ a: '</script><!--' }), '{"a":"\\u003c/script>\\u003c!--"}'],
  ]
  for (const [name, { html }, expected] of rows) t.equal(html, expected, name)
})

const dataOf = (html: string) => JSON.parse(/<script type="application\/json" id="plot-data">(.*?)<\/script>/s.exec(html)?.[1] as string)

t.test('the page holds all it needs, and its policy lets nothing else in', async (t) => {
  const html = renderHtml(loadReport())
  const [style, script] = [/<style>([\s\S]*?)<\/style>/, /<script>([\s\S]*?)<\/script>/].map((pattern) => pattern.exec(html)?.[1] as string)
  const hashOf = (text = '') => `&#39;sha256-${createHash('sha256').update(text).digest('base64')}&#39;`
  const policy = /Content-Security-Policy" content="([^"]*)"/.exec(html)?.[1] as string
  t.match(policy, /^default-src &#39;none&#39;; /)
  t.ok(policy.includes(`style-src ${hashOf(style)}; script-src ${hashOf(script)};`), policy)
  t.notMatch(policy, /unsafe|https?:|\*/)
  const own = html.replace(script ?? '', '')
  t.notMatch(own, /<(link|img|iframe|object|embed|base)\b|\ssrc=|\sstyle=|\son\w+=|@import|url\(/i)
})

t.test('what the plots are drawn from is per second, and stands beside a text', async (t) => {
  const report = loadReport(60)
  const html = renderHtml({ ...report, timeline: { ...report.timeline, binMs: 500 } })
  const { rates, latency, atSeconds, binSeconds, crashSeconds } = dataOf(html)
  t.equal(binSeconds, 0.5)
  t.equal(atSeconds.length, 60)
  t.equal(rates.due[30], 2 * (report.timeline.bins[30]?.due ?? 0))
  t.strictSame(Object.keys(latency), ['all', 'ios', 'macos', 'android', 'windows'])
  t.equal(latency.all[0][30], report.timeline.bins[30]?.latency?.p50Ms)
  t.equal(latency.all[2].at(-1), null, 'nothing ended then')
  t.strictSame(crashSeconds, [84.3])
  for (const plot of ['latency', 'arrivals', 'completions', 'errors', 'connected'])
    t.match(html, new RegExp(`id="${plot}-text">[^<]{20,}<[^]*aria-describedby="${plot}-text"`), `${plot} in words`)
})

t.test('verdict, figures and what to do are there without script', async (t) => {
  const html = renderHtml(loadReport()).replace(/<script>[\s\S]*/, '')
  for (const said of [
    '<h1><span class="sign" aria-hidden="true">✕</span> Failed</h1>',
    'threshold missed: failed.rate &#60; 0.1% (it was 0.41 %)',
    'The load generator was the limit, not the server.',
    'insecure: keys from a pool of 64 are shared',
    'worker 2 used 94.6 % of one core',
    'serial 4f1c…a0 of android-000112',
    'and 1 more',
    '41 failed in the end',
    'to be put right between device and server',
    'ended by SIGKILL',
    'not what the platform does: android.pending.polls is 5, and 3 by its source',
    '212 of 10,000 began more than 100 ms after they were due',
    '2 not applicable (windows.pfx-applies)',
  ])
    t.ok(html.includes(said), said)
  t.match(html, /<th scope="row">PKIOperation<\/th>.*HTTP 503/)
  const good = renderHtml({ ...loadReport(), verdict: 'passed', generator: { ...emptyReport.generator }, errors: [], failuresByCode: {} })
  t.match(good, '</span> Passed</h1>')
  t.match(good, /id="errors">Errors<\/h2><p class="none">None\./)
  t.match(good, 'It kept up: the figures are of the server.')
  t.notMatch(good.replace(/<s(tyle|cript)>[\s\S]*?<\/s/g, ''), 'was the limit')
})

t.test('a run over several machines has a part of its own', async (t) => {
  const html = renderHtml(machinesReport())
  for (const said of [
    'Run <code>b3kq7x2m</code>: 40 shards, taken 46 times by 3 workers on 2 machines.',
    '<th scope="row">south-1</th><td>south</td><td>v20.19.0</td><td class="figure">15</td>',
    '<th scope="row">1:05</th><td class="figure">7</td><td>north-2</td><td class="figure">31</td>',
    '<li>made again after a takeover, and measured once: 9 policy, 4 PKIOperation</li>',
    '1 shard taken over from a lost worker',
  ])
    t.ok(html.includes(said), said)
  t.strictSame(dataOf(html).crashSeconds, [65.2, 84.3], 'the plots mark it')
  t.notMatch(renderHtml(loadReport()), 'id="machines"')
})

t.test('a run of nothing, and of one bin', async (t) => {
  const html = renderHtml(emptyReport)
  for (const said of [
    'Interrupted',
    'No device was run.',
    'Nothing was timed.',
    'The scenario asked for none.',
    'before anything could be plotted',
  ])
    t.ok(html.includes(said), said)
  t.notMatch(html.replace(/<script>[\s\S]*/, ''), /NaN|Infinity|undefined|null(?!,|\])/)
  const [bin] = loadReport(1).timeline.bins
  const idle = {
    ...(bin as NonNullable<typeof bin>),
    due: 0,
    started: 0,
    completed: 0,
    enrolled: 0,
    errors: 0,
    connected: 0,
    latency: null,
    platforms: {},
  }
  const one = renderHtml({ ...emptyReport, timeline: { binMs: 250, bins: [idle] } })
  t.match(one, 'Nothing was enrolled.')
  t.match(one, 'No device kept a push connection.')
})

t.test('what came from outside is text wherever it stands', async (t) => {
  const html = renderHtml(hostileReport())
  t.notOk(html.includes(hostile))
  t.notMatch(html, '<img')
  t.equal(html.match(/<script/g)?.length, 2, 'the data and the script of the page')
  t.notMatch(html, '\u202e')
  t.ok(html.split('&#60;img src=x').length > 20, 'it is shown')
  t.doesNotThrow(() => dataOf(html))
})
