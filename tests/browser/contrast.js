/** The contrast of every visible text with what lies behind it, by WCAG 2's formula; disabled controls are exempt. */
() => {
  const parts = (colour) => colour.match(/[\d.]+/g).map(Number);
  const luminance = (colour) => {
    const [red, green, blue] = parts(colour)
      .slice(0, 3)
      .map((value) => value / 255)
      .map((value) => (value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4));
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
  };
  const behind = (element) => {
    for (let outer = element; outer; outer = outer.parentElement) {
      const colour = getComputedStyle(outer).backgroundColor;
      if (parts(colour)[3] !== 0) return colour;
    }
    return "rgb(255, 255, 255)";
  };
  const ownText = (element) => [...element.childNodes].some((node) => node.nodeType === 3 && node.data.trim());
  return [...document.body.querySelectorAll("*")]
    .filter((element) => element.checkVisibility() && ownText(element) && !element.closest("option, :disabled"))
    .map((element) => {
      const [text, back] = [getComputedStyle(element).color, behind(element)].map(luminance);
      const ratio = (Math.max(text, back) + 0.05) / (Math.min(text, back) + 0.05);
      return { text: element.textContent.trim().slice(0, 40), ratio: Math.round(ratio * 100) / 100 };
    });
};
