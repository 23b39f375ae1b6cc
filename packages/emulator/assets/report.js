// The plots of a report. What they show stands in #plot-data; everything else of the page needs no script.
;(() => {
  const data = JSON.parse(document.getElementById('plot-data').textContent)
  // A4 without its margins, in CSS pixels; all but the first plot stand in pairs.
  const printWidth = (kind) => (kind === 'latency' ? 678 : 330)
  const sync = uPlot.sync('time')
  const state = { platform: 'all', log: false, printing: false }
  const drawn = new Map()

  const colour = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim()

  function moment(seconds) {
    const whole = Math.floor(seconds)
    const two = (value) => String(value).padStart(2, '0')
    const fraction = Number.isInteger(seconds) ? '' : (seconds - whole).toFixed(2).slice(1).replace(/0+$/, '')
    const minutes = `${Math.floor(whole / 60) % 60}`
    const rest = `${two(whole % 60)}${fraction}`
    return whole >= 3600 ? `${Math.floor(whole / 3600)}:${two(minutes)}:${rest}` : `${minutes}:${rest}`
  }

  const digits = (value) => (Math.abs(value) >= 1000 ? Math.round(value).toLocaleString('en-US') : String(Number(value.toPrecision(3))))

  function duration(ms) {
    if (ms === 0) return '0'
    if (ms < 1) return `${digits(ms * 1000)} µs`
    return ms < 1000 ? `${digits(ms)} ms` : `${digits(ms / 1000)} s`
  }

  const shown = (text) => (_plot, value) => (value === null || value === undefined ? '' : text(value))

  // A bin is a stretch of time: its value holds from its beginning to its end, where the last gets a point of its own.
  const stepped = uPlot.paths.stepped({ align: 1 })
  const edges = [...data.atSeconds, data.atSeconds.at(-1) + data.binSeconds]
  const stretched = (values) => [...values, values.at(-1)]
  const middles = data.atSeconds.map((at) => at + data.binSeconds / 2)

  const scaled = (dash) => dash?.map((length) => length * devicePixelRatio)

  const area = (label, name, text = digits) => ({
    label,
    stroke: colour(name),
    fill: `${colour(name)}2e`,
    width: 1.5,
    paths: stepped,
    points: { show: false },
    value: shown(text),
  })
  const line = (label, name, dash, text = digits) => ({ ...area(label, name, text), fill: undefined, dash: scaled(dash) })
  const curve = (label, name, dash) => ({
    label,
    stroke: colour(name),
    width: 2,
    dash: scaled(dash),
    points: { show: middles.length < 40, size: 5, fill: colour(name) },
    value: shown(duration),
  })

  const perSecond = (value) => `${digits(value)}/s`
  const rates = (...names) => [edges, ...names.map((name) => stretched(data.rates[name]))]

  const kinds = {
    arrivals: () => ({
      data: rates('started', 'due'),
      series: [area('started', 'blue', perSecond), line('due', 'text', [6, 4], perSecond)],
      text: digits,
    }),
    completions: () => ({
      data: rates('enrolled', 'completed', 'failed'),
      series: [
        area('certificates', 'green', perSecond),
        line('devices through', 'blue', [8, 3], perSecond),
        line('with something missing', 'red', [3, 3], perSecond),
      ],
      text: digits,
    }),
    latency: () => ({
      data: [middles, ...data.latency[state.platform]],
      series: [curve('p50', 'green'), curve('p90', 'blue', [8, 3]), curve('p99', 'orange', [3, 3])],
      text: duration,
      log: state.log,
    }),
    errors: () => ({ data: rates('errors'), series: [area('errors', 'red', perSecond)], text: digits }),
    connected: () => ({ data: [edges, stretched(data.connected)], series: [area('connected', 'violet')], text: digits, whole: true }),
  }

  const crashes = (plot) => {
    const { ctx, bbox } = plot
    ctx.save()
    ctx.strokeStyle = colour('red')
    ctx.lineWidth = 3
    ctx.setLineDash([4, 6])
    for (const at of data.crashSeconds.filter((moment) => moment <= edges.at(-1))) {
      const x = plot.valToPos(at, 'x', true)
      ctx.beginPath()
      ctx.moveTo(x, bbox.top)
      ctx.lineTo(x, bbox.top + bbox.height)
      ctx.stroke()
    }
    ctx.restore()
  }

  function axis(text, size) {
    const grid = { stroke: colour('grid'), width: 1 }
    return {
      stroke: colour('muted'),
      font: `${state.printing ? 10 : 12}px system-ui, sans-serif`,
      grid,
      ticks: grid,
      size,
      values: (_plot, ticks) => ticks.map(text),
    }
  }

  const timeSteps = [0.01, 0.05, 0.1, 0.25, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 28800, 86400]
  const ofTen = (value) => value !== null && Math.abs(Math.log10(value) % 1) < 1e-9

  function scaleOf({ log, data: [, ...values] }) {
    if (log) return { distr: 3, range: logRange(values) }
    return { range: (_plot, _min, max) => [0, max > 0 ? max * 1.06 : 1] }
  }

  function logRange(values) {
    const positive = values.flat().filter((value) => value > 0)
    if (positive.length === 0) return [1, 10]
    const least = 10 ** Math.floor(Math.log10(Math.min(...positive)))
    return [least, Math.max(least * 10, 10 ** Math.ceil(Math.log10(Math.max(...positive))))]
  }

  function options(kind, width) {
    const text = (value) => (value === null ? '' : kind.text(value))
    const vertical = { ...axis(text, 62), ...(kind.log && { filter: (_plot, ticks) => ticks.map((tick) => (ofTen(tick) ? tick : null)) }) }
    return {
      width,
      height: state.printing ? 200 : width < 420 ? 190 : 230,
      padding: [10, 14, 0, 0],
      cursor: { sync: { key: sync.key }, drag: { x: true, y: false }, points: { size: 7 } },
      legend: {
        live: !state.printing,
        markers: {
          width: 1.5,
          fill: () => null,
          stroke: (plot, i) => plot.series[i].stroke(plot, i),
          dash: (plot, i) => (plot.series[i].dash ? 'dashed' : 'solid'),
        },
      },
      scales: { x: { time: false, range: () => [0, edges.at(-1)] }, y: scaleOf(kind) },
      axes: [
        { ...axis(moment, 32), incrs: timeSteps, space: 56 },
        { ...vertical, ...(kind.whole && { incrs: wholeSteps }) },
      ],
      series: [{ label: 'time', value: shown(moment) }, ...kind.series],
      hooks: { draw: [crashes, (plot) => plot.root.parentElement?.setAttribute('data-drawn', String(kind.series.length))] },
    }
  }

  const wholeSteps = [1, 2, 5].flatMap((step) => [0, 1, 2, 3, 4, 5].map((power) => step * 10 ** power)).sort((a, b) => a - b)

  function draw(place) {
    const kind = kinds[place.dataset.plot]()
    drawn.get(place)?.destroy()
    const width = state.printing ? printWidth(place.dataset.plot) : place.clientWidth
    drawn.set(place, new uPlot(options(kind, width), kind.data, place))
    place.dataset.width = String(width)
  }

  const places = [...document.querySelectorAll('[data-plot]')]
  const drawAll = () => places.forEach(draw)
  const latency = places.filter((place) => place.dataset.plot === 'latency')

  for (const input of document.querySelectorAll('.controls input'))
    input.addEventListener('change', () => {
      if (input.type === 'checkbox') state.log = input.checked
      else state.platform = input.value
      latency.forEach(draw)
    })

  // What is drawn keeps its colours: it is drawn again in those of paper, and of a scheme that changes.
  const print = (isPrinting) => () => {
    state.printing = isPrinting
    document.documentElement.toggleAttribute('data-print', isPrinting)
    drawAll()
  }
  addEventListener('beforeprint', print(true))
  addEventListener('afterprint', print(false))
  matchMedia('(prefers-color-scheme: dark)').addEventListener('change', drawAll)

  new ResizeObserver(() => {
    if (state.printing) return
    for (const place of places) if (String(place.clientWidth) !== place.dataset.width) draw(place)
  }).observe(document.body)

  drawAll()
})()
