// Narrows what a check's report shows. All of it is there without this.
;(() => {
  const filter = document.getElementById('filter')
  const field = (name) => filter.querySelector(`[name=${name}]`)
  const status = filter.querySelector('[role=status]')
  const rows = [...document.querySelectorAll('.matrix tr[data-worst]')]
  const entries = [...document.querySelectorAll('.severity .entry')]
  const pages = [...document.querySelectorAll('section.profile')]
  const severities = { error: ['error'], warning: ['error', 'warning'] }
  const texts = new WeakMap()

  function textOf(element) {
    if (!texts.has(element)) texts.set(element, element.textContent.toLowerCase())
    return texts.get(element)
  }

  function matches({ dataset }, { platform, severity }) {
    const isOfPlatform = platform === '' || dataset.platform === platform
    return isOfPlatform && (severity === '' || severities[severity].includes(dataset.severity ?? dataset.worst))
  }

  function show(elements, wanted, text) {
    let shown = 0
    for (const element of elements) {
      element.hidden = !matches(element, wanted) || !textOf(element).includes(text)
      if (!element.hidden) shown++
    }
    return shown
  }

  /** What holds nothing that is shown. */
  function fold(selector, inside) {
    for (const element of document.querySelectorAll(selector)) element.hidden = element.querySelector(`${inside}:not([hidden])`) === null
  }

  function apply() {
    const wanted = { platform: field('platform').value, severity: field('severity').value }
    const text = field('text').value.trim().toLowerCase()
    const shown = { profiles: show(rows, wanted, text), findings: show(entries, wanted, text) }
    for (const page of pages) page.hidden = !matches(page, wanted)
    fold('.matrix tbody', 'tr[data-worst]')
    fold('.topic', '.entry')
    fold('.topic details:has(.entry)', '.entry')
    fold('.severity', '.entry')
    const isNarrowed = text !== '' || wanted.platform !== '' || wanted.severity !== ''
    for (const details of document.querySelectorAll('.topic > details')) details.open = text !== ''
    for (const [id, count] of Object.entries(shown)) {
      const none = document.querySelector(`[aria-labelledby=${id}] > .unmatched`)
      if (none) none.hidden = count > 0
    }
    status.textContent = isNarrowed ? `${shown.profiles} of ${rows.length} profiles, ${shown.findings} of ${entries.length} findings` : ''
  }

  let due
  filter.addEventListener('input', () => {
    clearTimeout(due)
    due = setTimeout(apply, 120)
  })

  // A link leads to its page even where the filter hides it.
  addEventListener('hashchange', () => {
    const target = document.getElementById(location.hash.slice(1))
    if (!target?.hidden) return
    target.hidden = false
    target.scrollIntoView()
  })

  filter.hidden = false
})()
