# A boot sector that proves that guests run here: it enters long mode with paging on, counts, takes
# timer interrupts, and only then says so on the first serial port.
.code16
.globl _start
_start:
  cli
  cld
  xorl %eax,%eax
  movw %ax,%ds
  movw %ax,%es
  movw %ax,%ss
  movw $0x7c00,%sp
  # page tables at 0x1000 (PML4), 0x2000 (PDPT), 0x3000 (PD): first 2 MiB, identity
  movw $0x1000,%di
  movw $0x1800,%cx
  rep stosw
  movw $0x2003,0x1000
  movw $0x3003,0x2000
  movw $0x0083,0x3000
  # IDT at 0x5000: vector 0x20
  movw $tick,0x5200
  movw $0x08,0x5202
  movl $0x00008e00,0x5204
  movl %eax,0x5208
  # 8259: vectors 0x20.., only IRQ0
  movb $0x11,%al
  outb %al,$0x20
  movb $0x20,%al
  outb %al,$0x21
  movb $0x04,%al
  outb %al,$0x21
  movb $0x01,%al
  outb %al,$0x21
  movb $0xfe,%al
  outb %al,$0x21
  movb $0xff,%al
  outb %al,$0xa1
  lgdt gdtr
  lidt idtr
  movl $0x20,%eax      # CR4.PAE
  movl %eax,%cr4
  movl $0x1000,%eax
  movl %eax,%cr3
  movl $0xc0000080,%ecx # EFER.LME
  rdmsr
  orw $0x100,%ax
  wrmsr
  movl %cr0,%eax
  orl $0x80000001,%eax
  movl %eax,%cr0
  ljmp $0x08,$long
.code64
long:
  movl $0x10,%eax
  movl %eax,%ds
  movl %eax,%ss
  movl $0x7c00,%esp
  # 64 Mi rounds with a memory access each
  movl $0x4000000,%ecx
  movl $0x6000,%ebx
1: addl %ecx,(%rbx)
  decl %ecx
  jnz 1b
  # 3 timer interrupts
  xorl %edx,%edx
  sti
2: hlt
  cmpb $3,%dl
  jb 2b
  cli
  movl $msg,%esi
3: lodsb
  testb %al,%al
  jz 4f
  movw $0x3f8,%dx
  outb %al,%dx
  jmp 3b
4: hlt
  jmp 4b
tick:
  incl %edx
  movb $0x20,%al
  outb %al,$0x20
  iretq
gdtr: .word 23
  .long gdt
idtr: .word 0x20f
  .long 0x5000
gdt: .quad 0
  .quad 0x00209a0000000000
  .quad 0x0000920000000000
msg: .asciz "jst-probe ok\n"
.org 510
.word 0xaa55
