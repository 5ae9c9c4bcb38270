import { useRef } from 'preact/hooks';
import { type CodeLine, GrowingCode } from '../../views/growing-code.ts';
import { CopyButton } from './copy.tsx';
import { marked } from './marked.tsx';
import { memo } from './memo.ts';

/** A block of code with its language and a button that copies it. It may grow: only its last lines are drawn again then. */
export const CodeBlock = memo(
  ({ text, lang = '', label = 'code', mark = '' }: { text: string; lang?: string; label?: string; mark?: string }) => (
    <figure class="code">
      <figcaption class="code-head">
        <span class="label">{lang || 'text'}</span>
        <CopyButton text={text} label={`Copy ${label}`} />
      </figcaption>
      {/* biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls is to be reached by keyboard */}
      <pre tabIndex={0}>
        <Coloured text={text} lang={lang} mark={mark} />
      </pre>
    </figure>
  ),
);

const Coloured = ({ text, lang, mark }: { text: string; lang: string; mark: string }) => {
  const reader = useRef<GrowingCode | null>(null);
  reader.current ??= new GrowingCode();
  const chunks = reader.current.read(text, lang);
  return (
    <code>
      {chunks.map((lines, i) => (
        <Lines key={i} lines={lines} isLast={i === chunks.length - 1} mark={mark} />
      ))}
    </code>
  );
};

/** A box of its own: where only the last lines grow, a browser lays out no others. */
const Lines = memo(({ lines, isLast, mark }: { lines: readonly CodeLine[]; isLast: boolean; mark: string }) => (
  <span class="code-lines">
    {lines.map((spans, i) => (
      <span key={i}>
        {spans.map((span, n) =>
          span.kind === 'plain' ? (
            marked(span.text, mark)
          ) : (
            <span key={n} class={`hl-${span.kind}`}>
              {marked(span.text, mark)}
            </span>
          ),
        )}
        {isLast && i === lines.length - 1 ? '' : '\n'}
      </span>
    ))}
  </span>
));
