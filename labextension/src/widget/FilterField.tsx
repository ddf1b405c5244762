/** The field that narrows a list to what is typed. */

interface FilterFieldProps {
  readonly label: string;
  readonly placeholder: string;
  readonly text: string;
  readonly onText: (text: string) => void;
}

/** The field. */
export function FilterField({ label, placeholder, text, onText }: FilterFieldProps) {
  return (
    <input
      type="search"
      className="tunelab-filter"
      aria-label={label}
      placeholder={placeholder}
      value={text}
      onChange={event => {
        onText(event.target.value);
      }}
      onKeyDown={event => {
        // A form around it is not submitted by that.
        if (event.key === 'Enter') {
          event.preventDefault();
        }
      }}
    />
  );
}
