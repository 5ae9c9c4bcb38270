import { useMemo } from 'preact/hooks';
import { type DiffLine, diffLines } from '../../views/diff.ts';
import { memo } from './memo.ts';

const SIGNS = { added: '+', removed: '−', same: ' ', place: '', file: '' } as const;

/** A change line by line: its sign says what its colour says. */
export const Diff = memo(({ lines }: { lines: readonly DiffLine[] }) => (
  <div class="code diff">
    {/* biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls is to be reached by keyboard */}
    <pre tabIndex={0}>
      {lines.map(({ kind, text: line }, i) => (
        <span key={i} class={`diff-line diff-${kind}`}>
          <span class="diff-sign">{SIGNS[kind]}</span>
          {line}
          {'\n'}
        </span>
      ))}
    </pre>
  </div>
));

/** The same for a change that is a text. */
export const DiffText = memo(({ text }: { text: string }) => {
  const lines = useMemo(() => diffLines(text), [text]);
  return <Diff lines={lines} />;
});
