import type { ButtonHTMLAttributes, ComponentChildren } from 'preact';
import { Icon, type IconName } from './icon.tsx';

interface ButtonProps extends Omit<ButtonHTMLAttributes<HTMLButtonElement>, 'icon'> {
  kind?: 'plain' | 'primary' | 'danger' | 'quiet';
  small?: boolean;
  icon?: IconName;
  children?: ComponentChildren;
}

/** With an `icon` and no children it needs an `aria-label`, which is its tooltip too. */
export const Button = ({ kind = 'plain', small = false, icon, children, class: more, ...rest }: ButtonProps) => {
  const looks = ['button', `button-${kind}`, small && 'button-small', children === undefined && 'button-icon', more];
  const title = rest.title ?? (children === undefined ? rest['aria-label'] : undefined);
  return (
    <button type="button" {...rest} class={looks.filter(Boolean).join(' ')} {...(title === undefined ? {} : { title })}>
      {icon && <Icon name={icon} />}
      {children}
    </button>
  );
};
