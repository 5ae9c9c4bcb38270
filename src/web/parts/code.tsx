import { CopyButton } from './copy.tsx';
import { memo } from './memo.ts';

/** A block of code with its language and a button that copies it. */
export const CodeBlock = memo(
  ({ text, lang = '', label = 'code' }: { text: string; lang?: string; label?: string }) => (
    <figure class="code">
      <figcaption class="code-head">
        <span class="label">{lang || 'text'}</span>
        <CopyButton text={text} label={`Copy ${label}`} />
      </figcaption>
      {/* biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls is to be reached by keyboard */}
      <pre tabIndex={0}>
        <code>{text}</code>
      </pre>
    </figure>
  ),
);
