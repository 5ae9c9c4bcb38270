import { useMemo } from 'preact/hooks';
import { printable } from '../../../client/printable.ts';
import { type ToolArgs, toolArgs } from '../../../views/tool-body.ts';
import { CodeBlock } from '../../parts/code.tsx';
import { Diff } from '../../parts/diff.tsx';

/** The arguments of a call in the form that says most: a command, a change, a file, else JSON. */
export const ToolArgsView = ({ args, mark = '' }: { args: string; mark?: string }) => {
  const shown = useMemo(() => toolArgs(printable(args)), [args]);
  return (
    <>
      <Main shown={shown} mark={mark} />
      {shown.rest !== '' && <CodeBlock text={shown.rest} lang="json" label="further arguments" mark={mark} />}
    </>
  );
};

const Main = ({ shown, mark }: { shown: ToolArgs; mark: string }) => {
  switch (shown.kind) {
    case 'command':
      return <CodeBlock text={shown.text} lang="bash" label="the command" mark={mark} />;
    case 'change':
      return <Diff lines={shown.lines} />;
    case 'content':
      return <CodeBlock text={shown.text} lang={shown.lang} label="the content" mark={mark} />;
    case 'json':
      return <CodeBlock text={shown.text} lang="json" label="the arguments" mark={mark} />;
  }
};
