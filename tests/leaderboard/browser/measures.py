"""What a designer would measure on a page, in the browser: functions in JavaScript that give what is wrong."""

_COMMON = """
const seen = each => {
  const box = each.getBoundingClientRect(), style = getComputedStyle(each);
  return box.width > 1 && box.height > 1 && style.visibility === 'visible' && +style.opacity > 0.1
    && !each.closest('[data-testid="stSidebar"][data-collapsed="true"], .modebar, details:not([open]) > :not(summary)');
};
const words = each => [...each.childNodes].filter(node => node.nodeType === 3).map(node => node.data).join('').trim();
const withText = root => [...root.querySelectorAll('*')].filter(each => words(each) && seen(each));
const named = each => (words(each) || each.ariaLabel || each.innerText || each.value || each.outerHTML).slice(0, 60);
"""

SIDEWAYS = f"""() => {{ {_COMMON}
  const main = document.querySelector('[data-testid="stMain"]'), width = document.documentElement.clientWidth;
  const wide = [document.documentElement, main].filter(each => each.scrollWidth > each.clientWidth);
  const scrolls = each => each.closest('[data-testid="stDataFrame"], [data-testid="stTable"], pre, .hoverlayer');
  const out = withText(main).filter(each => each.getBoundingClientRect().right > width + 1 && !scrolls(each));
  return [...wide.map(() => 'the page scrolls sideways'), ...out.map(each => 'beyond the edge: ' + named(each))];
}}"""
"""What makes a page wider than the screen, tables that scroll in themselves aside."""

CUT = f"""() => {{ {_COMMON}
  const sidebar = document.querySelector('[data-testid="stSidebar"]');
  const cut = each => each.scrollWidth > each.clientWidth + 1 && getComputedStyle(each).overflowX !== 'visible';
  const fields = [...sidebar.querySelectorAll('input')].filter(each => seen(each) && each.value && cut(each));
  return [
    ...withText(sidebar).filter(cut).map(named),
    ...fields.map(each => each.value).filter(value => !sidebar.innerText.includes(value)),
  ];
}}"""
"""Texts of the sidebar that are cut and stand nowhere in full."""

SMALL = f"""least => {{ {_COMMON}
  const tapped = '[data-testid="stSidebarNavLink"], [data-testid="stPageLink-NavLink"], [data-testid="stButtonGroup"]'
    + ' button, [data-testid="stDownloadButton"] button, [data-testid="stExpander"] summary, [role="combobox"]';
  const area = each => (each.closest('[role="group"]') ?? each).getBoundingClientRect();
  const small = each => Math.min(area(each).width, area(each).height) < least;
  return [...document.querySelectorAll(tapped)].filter(seen).filter(small).map(
    each => `${{named(each)}}: ${{Math.round(area(each).width)}} x ${{Math.round(area(each).height)}}`
  );
}}"""
"""What a finger taps and is smaller than so many pixels."""

PALE = f"""() => {{ {_COMMON}
  const canvas = document.createElement('canvas').getContext('2d', {{willReadFrequently: true}});
  const rgba = colour => {{
    canvas.clearRect(0, 0, 1, 1);
    canvas.fillStyle = colour;
    canvas.fillRect(0, 0, 1, 1);
    const [red, green, blue, alpha] = canvas.getImageData(0, 0, 1, 1).data;
    return [red, green, blue, alpha / 255];
  }};
  const over = ([r, g, b, a], [r0, g0, b0]) => [r * a + r0 * (1 - a), g * a + g0 * (1 - a), b * a + b0 * (1 - a), 1];
  const behind = each => {{
    const layers = [];
    for (let at = each; at; at = at.parentElement) layers.push(rgba(getComputedStyle(at).backgroundColor));
    return layers.reverse().reduce((below, layer) => over(layer, below), [255, 255, 255, 1]);
  }};
  const bright = colour => colour.slice(0, 3).map(part => part / 255).map(
    part => part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4
  ).reduce((sum, part, at) => sum + part * [0.2126, 0.7152, 0.0722][at], 0);
  const wrong = [];
  for (const each of withText(document.body)) {{
    const label = each.closest('label')?.parentElement;
    if (each.closest('.textpoint, .hoverlayer, [aria-hidden="true"]') || label?.querySelector(':disabled')) continue;
    const style = getComputedStyle(each), below = behind(each);
    const colour = each instanceof SVGElement ? style.fill : style.color;
    const [light, dark] = [bright(over(rgba(colour), below)), bright(below)].sort((a, b) => b - a);
    const large = parseFloat(style.fontSize) >= 24 || parseFloat(style.fontSize) >= 18.6 && +style.fontWeight >= 700;
    const ratio = (light + 0.05) / (dark + 0.05);
    if (ratio < (large ? 3 : 4.5)) wrong.push(`${{named(each)}}: ${{ratio.toFixed(2)}}`);
  }}
  return wrong;
}}"""
"""Texts that differ too little from what is behind them; disabled filters and a map's numbers aside."""

COVERED = f"""() => {{ {_COMMON}
  const before = (a, b) => a.right <= b.left + 1 || a.bottom <= b.top + 1;
  const apart = (a, b) => before(a, b) || before(b, a);
  const wrong = [];
  for (const plot of document.querySelectorAll('.js-plotly-plot')) {{
    const room = plot.getBoundingClientRect(), bar = plot.querySelector('.modebar')?.getBoundingClientRect();
    for (const text of plot.querySelectorAll('.main-svg text, .main-svg tspan')) {{
      const box = text.getBoundingClientRect();
      if (!box.width || text.closest('.hoverlayer') || text.querySelector('tspan')) continue;
      if (!text.textContent.trim()) continue;
      if (box.left < room.left - 1 || box.right > room.right + 1) wrong.push('cut: ' + text.textContent.slice(0, 60));
      if (bar && !apart(box, bar)) wrong.push('under the buttons: ' + text.textContent.slice(0, 60));
    }}
  }}
  const buttons = [...document.querySelectorAll('[data-testid="stDownloadButton"] button')].filter(seen);
  for (const table of [...document.querySelectorAll('[data-testid="stDataFrame"]')].filter(seen)) {{
    const covers = each => !apart(table.getBoundingClientRect(), each.getBoundingClientRect());
    wrong.push(...buttons.filter(covers).map(each => 'over a table: ' + named(each)));
  }}
  for (const bar of document.querySelectorAll('[data-testid="stElementToolbar"]')) {{
    const box = bar.getBoundingClientRect();
    if (!seen(bar)) continue;
    for (const field of document.querySelectorAll('.stMain [role="combobox"], .stMain button')) {{
      const area = (field.closest('[role="group"]') ?? field).getBoundingClientRect();
      if (seen(field) && !bar.contains(field) && !apart(box, area)) wrong.push('under a table: ' + named(field));
    }}
  }}
  return wrong;
}}"""
"""Words of a figure beyond its edge or under its buttons, and controls over a table or under its buttons."""

WIDER = f"""() => {{ {_COMMON}
  const tables = [...document.querySelectorAll('[data-testid="stDataFrame"]')].filter(seen);
  const hidden = each => (scroller => scroller.scrollWidth - scroller.clientWidth)(each.querySelector('.dvn-scroller'));
  const heads = each => [...each.querySelectorAll('th')].map(head => head.textContent).join(' | ');
  return tables.filter(each => hidden(each) > 1).map(each => `${{hidden(each)}} pixels of ${{heads(each)}}`);
}}"""
"""Tables whose last columns a desktop does not show."""
