import { stepArms, takingArms, valueArms } from './arms.ts';
import type { CompletedCommand, Offer } from './tree.ts';

const quoted = (text: string): string => `'${text.replaceAll("'", "'\\''")}'`;
/** `word:what it is`, as `_describe` reads it. */
const entry = (word: string, text: string): string => quoted(`${word.replaceAll(':', '\\:')}:${text}`);

const arm = (patterns: string[], does: string): string =>
  patterns.length === 0
    ? ''
    : `      ${patterns.map((p) => `(${quoted(p)})`).join(` ${does} ;;\n      `)} ${does} ;;\n`;

const entries = (offer: Offer): string =>
  offer === null
    ? ''
    : 'ask' in offer
      ? `\${(f)"$(opta complete-words ${offer.ask} 2>/dev/null)"}`
      : offer.words.map((word) => quoted(word)).join(' ');

export const zshScript = (commands: readonly CompletedCommand[]): string => {
  const steps = stepArms(commands, arm, (to) => `at=${quoted(to)} n=0`);
  const taking = takingArms(commands, arm, 'pending=$word');
  const values = valueArms(commands, arm, (offer) => `found=(${entries(offer)})`);
  const flags = commands.map((c) =>
    arm([c.path], `found=(${c.options.flatMap((o) => o.names.map((name) => entry(name, o.text))).join(' ')})`),
  );
  return `#compdef opta
_opta_found() {
  local at='' n=0 pending='' word i
  local cur=$words[CURRENT]
  for ((i = 2; i < CURRENT; i++)); do
    word=$words[i]
    if [[ -n $pending ]]; then pending=''; continue; fi
    case "$at:$word" in
${steps.join('')}      (*:-*) ;;
      (*) n=$((n + 1)) ;;
    esac
    case "$at:$word" in
${taking.join('')}      (*) ;;
    esac
  done
  found=()
  if [[ -n $pending ]]; then
    case "$at:$pending" in
${values.join('')}      (*) ;;
    esac
  elif [[ $cur == -* ]]; then
    case "$at" in
${flags.join('')}      (*) ;;
    esac
  else
    case "$at:$n" in
${commands.flatMap(placesOf).join('')}      (*) ;;
    esac
  fi
}
_opta() {
  local -a found
  _opta_found
  if (( \${#found} )); then _describe opta found; else _files; fi
}
if [[ \${funcstack[1]-} == _opta ]]; then _opta "$@"; elif (( \${+functions[compdef]} )); then compdef _opta opta; fi
`;
};

const placesOf = (c: CompletedCommand): string[] => {
  const below = c.commands.map(({ word, text }) => entry(word, text));
  const at = (i: number): string => entries(c.arguments[i]?.offer ?? null);
  const first = [...below, at(0)].filter((text) => text !== '').join(' ');
  const later = c.arguments.flatMap(({ variadic }, i) => {
    if (at(i) === '' || (i === 0 && !variadic)) return [];
    const place = variadic ? `(${quoted(`${c.path}:`)}<${i === 0 ? 1 : i}->)` : `(${quoted(`${c.path}:${i}`)})`;
    return [`      ${place} found=(${at(i)}) ;;\n`];
  });
  return [...(first === '' ? [] : [arm([`${c.path}:0`], `found=(${first})`)]), ...later];
};
