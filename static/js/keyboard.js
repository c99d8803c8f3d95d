// Which keys make a character on a keyboard of a given layout. A screen is sent keys and not characters: what a key means
// is decided by the layout that the guest believes in.

const CODES = [
  ..."Backquote Digit1 Digit2 Digit3 Digit4 Digit5 Digit6 Digit7 Digit8 Digit9 Digit0 Minus Equal".split(" "),
  ..."KeyQ KeyW KeyE KeyR KeyT KeyY KeyU KeyI KeyO KeyP BracketLeft BracketRight".split(" "),
  ..."KeyA KeyS KeyD KeyF KeyG KeyH KeyJ KeyK KeyL Semicolon Quote Backslash".split(" "),
  ..."IntlBackslash KeyZ KeyX KeyC KeyV KeyB KeyN KeyM Comma Period Slash".split(" "),
];

/** The characters of these keys alone, with Shift and with AltGr. A space is a key that makes none by itself, as dead keys do. */
const LAYOUTS = {
  us: ["`1234567890-=qwertyuiop[]asdfghjkl;'\\ zxcvbnm,./", '~!@#$%^&*()_+QWERTYUIOP{}ASDFGHJKL:"| ZXCVBNM<>?'],
  gb: ["`1234567890-=qwertyuiop[]asdfghjkl;'#\\zxcvbnm,./", '¬!"£$%^&*()_+QWERTYUIOP{}ASDFGHJKL:@~|ZXCVBNM<>?', "    €"],
  de: [" 1234567890ß qwertzuiopü+asdfghjklöä#<yxcvbnm,.-", "°!\"§$%&/()=? QWERTZUIOPÜ*ASDFGHJKLÖÄ'>YXCVBNM;:_", "  ²³   {[]}\\ @ €        ~            |       µ   "],
};
const HELD = [[], ["ShiftLeft"], ["AltRight"]];
const OTHERS = { " ": ["Space"], "\n": ["Enter"], "\t": ["Tab"] };

const tables = new Map();

function table(layout) {
  const made = new Map(Object.entries(OTHERS));
  LAYOUTS[layout].forEach((characters, level) => {
    [...characters].forEach((character, at) => {
      if (character !== " " && !made.has(character)) made.set(character, [...HELD[level], CODES[at]]);
    });
  });
  return made;
}

/** The codes of the keys that are held and, last, of the key that is pressed; nothing where the layout has no such character. */
export function keysOf(character, layout) {
  if (!tables.has(layout)) tables.set(layout, table(layout));
  return tables.get(layout).get(character);
}
