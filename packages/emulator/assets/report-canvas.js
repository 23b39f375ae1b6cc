// uPlot asks for this once: plots are drawn at twice their size at least, so that they print sharp.
Object.defineProperty(window, 'devicePixelRatio', { value: Math.max(2, window.devicePixelRatio), configurable: true })
