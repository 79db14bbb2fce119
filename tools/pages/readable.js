// What keeps a reader from reading this page, as a list of sentences: text that is
// broken inside of a word, wider than the window, too small, or too near to the colour behind it (WCAG 2.2,
// 1.4.3: 4.5 to 1).
(() => {
  const channel = v => (v /= 255) <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4
  const luminance = ([r, g, b]) => 0.2126 * channel(r) + 0.7152 * channel(g) + 0.0722 * channel(b)
  const colour = s => s.match(/[\d.]+/g).map(Number)
  const behind = e => {
    for (; e; e = e.parentElement) {
      const c = colour(getComputedStyle(e).backgroundColor)
      if (c[3] !== 0) return c
    }
    return [255, 255, 255]
  }
  const found = new Set()
  const root = document.documentElement
  if (root.scrollWidth > root.clientWidth) found.add(`the page is ${root.scrollWidth} px wide in a window of ${root.clientWidth}`)
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT)
  while (walker.nextNode()) {
    const e = walker.currentNode.parentElement
    const text = walker.currentNode.data.trim()
    if (!text || !e.checkVisibility()) continue
    const style = getComputedStyle(e), what = `"${text.slice(0, 40)}"`
    const [a, b] = [luminance(colour(style.color)), luminance(behind(e))].sort((x, y) => y - x)
    const contrast = (a + 0.05) / (b + 0.05)
    if (contrast < 4.5) found.add(`${what}: ${style.color} has a contrast of ${contrast.toFixed(1)} to 1`)
    if (parseFloat(style.fontSize) < 12) found.add(`${what}: text of ${style.fontSize}`)
    const range = document.createRange()
    range.selectNodeContents(walker.currentNode)
    const box = range.getBoundingClientRect()
    if (box.right > root.clientWidth + 1) found.add(`${what} ends ${Math.round(box.right - root.clientWidth)} px beyond the window`)
    for (const word of walker.currentNode.data.matchAll(/\b[A-Za-z]{2,20}\b/g)) {
      range.setStart(walker.currentNode, word.index)
      range.setEnd(walker.currentNode, word.index + word[0].length)
      const tops = new Set([...range.getClientRects()].map(r => Math.round(r.top)))
      if (tops.size > 1) found.add(`"${word[0]}" in ${what} is broken over ${tops.size} lines`)
    }
    const cell = e.closest('td, li, dd, p, summary')
    if (cell && box.right > cell.getBoundingClientRect().right + 1) found.add(`${what} runs out of its ${cell.tagName}`)
  }
  return [...found].slice(0, 20)
})()
