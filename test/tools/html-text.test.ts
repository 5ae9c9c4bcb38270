import fc from 'fast-check';
import { expect, test } from 'vitest';
import { htmlText } from '../../src/tools/web/html-text.ts';

const text = (html: string): string => htmlText(html, 'https://example.com/a/b');

test.each([
  ['<p>one</p><p>two\n  <b>three</b></p>', 'one\n\ntwo three'],
  ['<title>T &amp; U</title><h2>Head</h2>body', '# T & U\n\n## Head\n\nbody'],
  ['<ul><li>a<li> b </ul>c', '- a\n- b\nc'],
  ['a<br>b<br/>c', 'a\nb\nc'],
  ['<table><tr><td>1<td>2</tr><tr><th>3</th><th>4</th></tr></table>', '1 | 2\n3 | 4'],
  ['<pre>  x\n    y</pre>z', 'x\n    y\n\nz'],
  ['<p>see <a href="../c?d=1&amp;e=2">this <i>page</i></a>, ok', 'see this page (https://example.com/c?d=1&e=2), ok'],
  [
    "<a href='#x'>a</a> <a href=javascript:b()>b</a> <a>c</a> <a href='https://x.example/'>https://x.example/</a>",
    'a b c https://x.example/',
  ],
  ['a<script>if (a < b) "</p>"</script >b<style>x{}</style>c<!-- <p>no --> d', 'abc d'],
  ['a<script>never closed <p>b', 'a'],
  ['a<!-- never closed <p>b', 'a'],
  ['a<template><p>x<template>y</template>z</template>b<svg/>c<svg><style></style><text>t</text></svg>d', 'abcd'],
  ['1 < 2 &lt; 3 & 4 &amp;lt; &#65;&#x1F916;&#0;&nope; &copy=1', '1 < 2 < 3 & 4 &lt; A🤖\ufffd&nope; &copy=1'],
  ['<p title="a > b" data-x=it\'s>c', 'c'],
  ['<a href="x', ''],
  ['', ''],
])('[TL8] %s is read as text', (html, wanted) => {
  expect(text(html)).toBe(wanted);
});

test('[TL8] nothing in a script, a style or a comment is text, whatever stands around it', () => {
  const noise = fc.array(
    fc.constantFrom('<p>', '</div>', '<', '>', '"', "'", '=', 'a', ' ', '&', '<b x="', '">', '<td>', '<li>'),
    {
      maxLength: 12,
    },
  );
  const hidden = fc.constantFrom('<script>', '<style>', '<!--').chain((open) => {
    const close = open === '<!--' ? '-->' : open.replace('<', '</');
    return noise.map((inner) => `${open}HIDDEN${inner.join('')}${close}`);
  });
  fc.assert(
    fc.property(
      fc.array(
        fc.oneof(
          noise.map((n) => n.join('')),
          hidden,
        ),
      ),
      (parts) => {
        // A value in quotes that is open hides the marks themselves: then they are no tags.
        const html = parts.map((part) => (part.includes('HIDDEN') ? `x"'>${part}` : part)).join('');
        const plain = html.replace(/=\s*["']/g, '=');
        expect(text(plain)).not.toContain('HIDDEN');
      },
    ),
  );
});

test('[TL8, SV3] a page that was made to be slow takes one pass', () => {
  const many = 200_000;
  for (const piece of ['<a "', '<a href="', '<', '<!--', '<script>', '&#', '<a href=x>', '</p', '<svg>', '<p \'="']) {
    const read = text(piece.repeat(many));
    expect(read.length, piece).toBeLessThan(20 * many);
  }
});
